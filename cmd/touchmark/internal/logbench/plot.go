package logbench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A panel is one of the plots: some figures in one unit, both axes logarithmic.
type panel struct {
	title string
	lines []line
}

type line struct {
	name string
	at   func(*Stage) float64 // not drawn where it is 0
}

func seconds(d time.Duration) float64 { return d.Seconds() }

var panels = []panel{
	{"records per second", []line{
		{"acknowledged", func(s *Stage) float64 { return s.Acknowledged }},
		{"provable", func(s *Stage) float64 { return s.Provable }},
	}},
	{"seconds", []line{
		{"inclusion p99", func(s *Stage) float64 { return seconds(s.Inclusion.P99) }},
		{"inclusion p50", func(s *Stage) float64 { return seconds(s.Inclusion.P50) }},
		{"acknowledge p99", func(s *Stage) float64 { return seconds(s.Acknowledge.P99) }},
		{"acknowledge p50", func(s *Stage) float64 { return seconds(s.Acknowledge.P50) }},
		{"proof", func(s *Stage) float64 { return seconds(s.Proof.P50) }},
		{"verification", func(s *Stage) float64 { return seconds(s.Verification.P50) }},
	}},
	{"bytes per record", []line{
		{"journal", func(s *Stage) float64 { return s.JournalBytes }},
		{"log", func(s *Stage) float64 { return s.LogBytes }},
		{"database", func(s *Stage) float64 { return s.DatabaseBytes }},
	}},
	{"bytes of memory, at most", []line{
		{"peak", func(s *Stage) float64 { return float64(s.Memory) }},
	}},
}

// colors are told apart by people who see few of them.
var colors = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"}

// Sizes in the plot.
const (
	panelWidth  = 460
	panelHeight = 300
	marginLeft  = 60
	marginRight = 115
	marginTop   = 34
	marginLow   = 42
	plotWidth   = panelWidth - marginLeft - marginRight
	plotHeight  = panelHeight - marginTop - marginLow
	perRow      = 2
	nameHeight  = 12
)

// SVG returns the plot of r: a picture that needs nothing else.
func (r *Report) SVG() string {
	var b strings.Builder
	rows := (len(panels) + perRow - 1) / perRow
	width, height := perRow*panelWidth, rows*panelHeight+20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for i, p := range panels {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%perRow*panelWidth, i/perRow*panelHeight)
		p.draw(&b, r.Stages)
		b.WriteString("</g>\n")
	}
	fmt.Fprintf(&b, `<text x="10" y="%d" font-size="10" fill="#555">%s</text>`+"\n</svg>\n", height-8, r.Conditions())
	return b.String()
}

// A scale maps powers of ten to pixels.
type scale struct {
	from, to      float64 // exponents, whole
	start, length float64 // pixels; length is negative where the axis goes up
}

func newScale(low, high, start, length float64) scale {
	const little = 0.01 // 1,001 is a thousand
	from, to := math.Floor(math.Log10(low)+little), math.Ceil(math.Log10(high)-little)
	return scale{from, max(to, from+1), start, length}
}

func (s scale) at(value float64) float64 {
	return s.start + (math.Log10(value)-s.from)/(s.to-s.from)*s.length
}

func (p *panel) draw(b *strings.Builder, stages []Stage) {
	low, high := p.bounds(stages)
	if low > high {
		return // nothing was measured
	}
	x := newScale(float64(stages[0].Records), float64(stages[len(stages)-1].Records), marginLeft, plotWidth)
	y := newScale(low, high, marginTop+plotHeight, -plotHeight)
	fmt.Fprintf(b, `<text x="%d" y="20" font-size="13" font-weight="bold">%s</text>`+"\n", marginLeft, p.title)
	drawGrid(b, x, y)
	last := &stages[len(stages)-1]
	names := y.start // the names of lines must not lie on each other: from below
	for _, i := range sorted(len(p.lines), func(i int) float64 { return p.lines[i].at(last) }) {
		names = p.lines[i].draw(b, stages, colors[i], x, y, names)
	}
}

// sorted returns the numbers below n in the order of what by says of them.
func sorted(n int, by func(i int) float64) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(by(a), by(b)) })
	return out
}

// bounds returns the smallest and the largest figure of p that is not 0.
func (p *panel) bounds(stages []Stage) (low, high float64) {
	low, high = math.Inf(1), 0
	for _, l := range p.lines {
		for i := range stages {
			if v := l.at(&stages[i]); v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	return low, high
}

func drawGrid(b *strings.Builder, x, y scale) {
	const gray = ` stroke="#ddd"/>` + "\n"
	for e := x.from; e <= x.to; e++ {
		at := x.at(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%[1]f" y2="%[3]d"`+gray, at, marginTop, marginTop+plotHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, marginTop+plotHeight+15, power(e))
	}
	for e := y.from; e <= y.to; e++ {
		at := y.at(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%[2]f"`+gray, marginLeft, at, marginLeft+plotWidth)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", marginLeft-5, at+4, power(e))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">records in the log</text>`+"\n", marginLeft+plotWidth/2, panelHeight-10)
}

// power writes a power of ten.
func power(exponent float64) string {
	return fmt.Sprintf(`10<tspan dy="-4" font-size="8">%.0f</tspan>`, exponent)
}

// draw draws the line, and its name at its end, but above the height of the name before it. It returns where the next
// name may be.
func (l *line) draw(b *strings.Builder, stages []Stage, color string, x, y scale, names float64) float64 {
	var points []string
	var endX, endY float64
	for i := range stages {
		v := l.at(&stages[i])
		if v <= 0 {
			continue
		}
		endX, endY = x.at(float64(stages[i].Records)), y.at(v)
		points = append(points, fmt.Sprintf("%.1f,%.1f", endX, endY))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", endX, endY, color)
	}
	if len(points) == 0 {
		return names
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), color)
	at := min(endY+4, names)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", float64(marginLeft+plotWidth+6), at, color, l.name)
	return at - nameHeight
}
