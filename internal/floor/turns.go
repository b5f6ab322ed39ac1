package floor

import (
	"slices"
	"time"
)

// Turns are the times that two things took that were done in turns, so that both met the same machine. The zero Turns
// are empty.
type Turns struct{ floor, ours []time.Duration }

// Add adds a turn of the floor, and the one of what is compared with it.
func (t *Turns) Add(floor, ours time.Duration) {
	t.floor, t.ours = append(t.floor, floor), append(t.ours, ours)
}

// Floor returns the median of the floor's turns.
func (t *Turns) Floor() time.Duration { return median(t.floor) }

// Ours returns the median of the other turns.
func (t *Turns) Ours() time.Duration { return median(t.ours) }

// Ratio returns the median of ours divided by the floor, turn by turn: a neighbour who slows some turns down does not
// change it.
func (t *Turns) Ratio() float64 {
	ratios := make([]float64, len(t.ours))
	for i := range ratios {
		ratios[i] = float64(t.ours[i]) / float64(t.floor[i])
	}
	return median(ratios)
}

// median returns 0 for nothing.
func median[T time.Duration | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
