package depcheck

// Modules, by the names that the rules use.
var moduleNames = map[string]string{
	"age":        "filippo.io/age",
	"cedar":      "github.com/cedar-policy/cedar-go",
	"cmp":        "github.com/google/go-cmp",
	"cli":        "github.com/urfave/cli/v2",
	"formats":    "github.com/transparency-dev/formats",
	"goose":      "github.com/pressly/goose/v3",
	"go-jose":    "github.com/go-jose/go-jose/v4",
	"go-sdk":     "github.com/modelcontextprotocol/go-sdk",
	"go-spiffe":  "github.com/spiffe/go-spiffe/v2",
	"gowebpki":   "github.com/gowebpki/jcs",
	"grpc":       "google.golang.org/grpc",
	"json":       "github.com/go-json-experiment/json",
	"klog":       "k8s.io/klog/v2",
	"jwx":        "github.com/lestrrat-go/jwx/v2",
	"merkle":     "github.com/transparency-dev/merkle",
	"otel":       "go.opentelemetry.io/otel",
	"otlp":       "go.opentelemetry.io/proto/otlp",
	"pgx":        "github.com/jackc/pgx/v5",
	"prometheus": "github.com/prometheus",
	"protobuf":   "google.golang.org/protobuf",
	"sqlite":     "modernc.org/sqlite",
	"template":   "github.com/yosida95/uritemplate/v3",
	"tessera":    "github.com/transparency-dev/tessera",
	"testscript": "github.com/rogpeppe/go-internal",
	"trillian":   "github.com/google/trillian",
	"uuid":       "github.com/google/uuid",
	"x/mod":      "golang.org/x/mod",
	"x/net":      "golang.org/x/net",
	"x/sync":     "golang.org/x/sync",
	"x/sys":      "golang.org/x/sys",
	"x/time":     "golang.org/x/time",
	"yaml":       "go.yaml.in/yaml/v3",
}

// A rule says what the package of one directory may import outside its tests.
type rule struct {
	// ours are packages that users import. Packages below internal need no
	// mention: any may be imported, unless it is forTests.
	ours []string
	// modules are the other modules that come into a program with the
	// package's own files and the internal packages they reach.
	modules []string
	// forTests marks a package for tests and generators. Only tests and other
	// such packages may import it. Below internal it may import what it likes.
	forTests bool
	// alone forbids internal packages too.
	alone bool
}

// testModules may be imported by any test, and by nothing else unless a rule
// says so. Two of them are second opinions on what production code computes.
var testModules = []string{"cmp", "testscript", "gowebpki", "jwx", "go-jose", "json", "go-sdk", "uuid", "yaml",
	"formats", "merkle", "otlp", "protobuf", "tessera", "x/mod", "x/net", "x/sync", "x/sys"}

var (
	below   = []string{"did", "badge", "badge/pop"}
	guarded = []string{"did", "badge", "badge/pop", "evidence", "translog", "guard"}
	all     = append([]string{"badge/client", "serververify", "serververify/mcpverify", "guard/policy", "guard/mcpguard",
		"guard/gateway", "guard/httpguard", "guard/confirm", "evidence/export", "evidence/index", "evidence/rfc006", "guard/limit", "guard/limit/pglimit", "guard/telemetry", "guard/telemetry/gates", "translog/tlogclient", "translog/tesseralog", "translog/trillianlog", "translog/trillianlog/pgstate", "translog/witness", "translog/monitor", "serververify/pin", "serververify/registry"}, guarded...)
)

// rules has one entry for each directory with Go files.
var rules = map[string]rule{
	// What users import, lowest first.
	"testvectors": {alone: true},
	"did":         {modules: []string{"json"}},
	"badge/pop":   {ours: []string{"did"}, modules: []string{"go-jose", "json"}},
	"badge":       {ours: []string{"did"}, modules: []string{"go-jose", "json", "uuid"}},
	"badge/client": {
		ours:    below,
		modules: []string{"go-jose", "json", "jwx", "x/sys"},
	},
	"badge/authority": {
		ours: append([]string{"badge/authority/internal/domain", "badge/authority/internal/keyring", "badge/authority/internal/store",
			"translog"}, below...),
		modules: []string{"age", "formats", "go-jose", "goose", "json", "merkle", "pgx", "sqlite", "uuid", "x/mod", "x/sys", "x/time"},
	},
	"badge/authority/internal/domain":  {ours: below, modules: []string{"go-jose", "json"}},
	"badge/authority/internal/keyring": {modules: []string{"age", "json", "x/sys"}},
	"badge/authority/internal/store":   {modules: []string{"goose", "pgx", "sqlite", "x/sys"}},
	"badge/badgetest":                  {ours: below, modules: []string{"go-jose", "json", "uuid"}, forTests: true},
	"badge/badgetest/authoritytest": {
		ours:     append([]string{"badge/authority", "badge/badgetest", "badge/client", "translog/translogtest"}, below...),
		modules:  []string{"json"},
		forTests: true,
	},
	"translog": {modules: []string{"formats", "json", "merkle", "x/mod"}},
	"translog/tlogclient": {
		ours:    []string{"translog"},
		modules: []string{"formats", "json", "merkle", "tessera", "x/mod"},
	},
	"translog/internal/tiles": {
		ours:    []string{"translog", "translog/tlogclient"},
		modules: []string{"merkle", "tessera", "x/sys"},
	},
	"translog/trillianlog": {
		ours:    []string{"translog", "translog/internal/signing", "translog/internal/tiles", "translog/tlogclient"},
		modules: []string{"formats", "grpc", "json", "merkle", "protobuf", "tessera", "trillian", "x/mod", "x/sys"},
	},
	"translog/trillianlog/pgstate": {
		ours:    []string{"translog/trillianlog"},
		modules: []string{"pgx"},
	},
	"translog/trillianlog/trilliantest": {
		ours:     []string{"translog/trillianlog"},
		modules:  []string{"goose", "grpc", "pgx", "sqlite", "x/sys"},
		forTests: true,
	},
	"translog/internal/signing": {
		ours:    []string{"translog", "translog/tlogclient"},
		modules: []string{"formats", "json", "merkle", "x/mod", "x/sys"},
	},
	"translog/tesseralog": {
		ours:    []string{"translog", "translog/internal/signing", "translog/tlogclient"},
		modules: []string{"formats", "json", "klog", "merkle", "tessera", "x/mod", "x/sys"},
	},
	"translog/monitor": {
		ours:    []string{"did", "evidence", "translog", "translog/tlogclient"},
		modules: []string{"json", "merkle", "x/sys"},
	},
	"translog/explorer": {alone: true},
	"translog/witness": {
		ours:    []string{"translog", "translog/tlogclient"},
		modules: []string{"formats", "json", "merkle", "x/mod", "x/sys"},
	},
	"translog/translogtest": {
		ours:     []string{"translog", "translog/tlogclient"},
		modules:  []string{"formats", "json", "merkle", "x/mod"},
		forTests: true,
	},
	"evidence":        {ours: []string{"did", "translog"}, modules: []string{"go-jose", "json", "x/sys"}},
	"evidence/vault":  {ours: []string{"evidence"}, modules: []string{"age", "x/sys"}},
	"evidence/export": {ours: []string{"did", "evidence"}},
	"evidence/rfc006": {ours: []string{"did"}, modules: []string{"json"}},
	"evidence/index":  {ours: []string{"evidence"}, modules: []string{"x/sys"}},
	"serververify": {
		ours:    below,
		modules: []string{"go-jose", "json", "x/time"},
	},
	"serververify/workload": {
		ours:    append([]string{"serververify"}, below...),
		modules: []string{"go-spiffe", "json", "x/sys", "yaml"},
	},
	"serververify/workload/spiffe": {
		ours:    []string{"serververify/workload"},
		modules: []string{"go-spiffe", "grpc"},
	},
	"serververify/workload/workloadtest": {
		modules:  []string{"go-jose", "go-spiffe", "grpc"},
		forTests: true,
	},
	"serververify/mcpverify": {
		ours:    append([]string{"serververify"}, below...),
		modules: []string{"go-jose", "go-sdk", "json"},
	},
	"serververify/pin": {
		ours:    append([]string{"serververify"}, below...),
		modules: []string{"go-jose", "json", "x/sys"},
	},
	"serververify/registry": {
		ours:    append([]string{"serververify"}, below...),
		modules: []string{"go-jose", "json", "x/sys"},
	},
	"guard": {ours: guarded[:5], modules: []string{"json"}},
	"guard/guardtest": {
		ours:     append([]string{"badge/badgetest"}, guarded...),
		modules:  []string{"go-jose", "json", "uuid"},
		forTests: true,
	},
	"guard/policy": {ours: guarded, modules: []string{"json", "yaml"}},
	"guard/policy/cedar": {
		ours:    append([]string{"guard/policy"}, guarded...),
		modules: []string{"cedar", "json"},
	},
	"guard/policy/authzen": {ours: append([]string{"guard/policy"}, guarded...), modules: []string{"json"}},
	"guard/httpguard":      {ours: append([]string{"serververify/workload"}, guarded...), modules: []string{"json"}},
	"guard/confirm": {
		ours:    append([]string{"guard", "translog/tlogclient"}, guarded...),
		modules: []string{"json"},
	},
	"guard/limit": {ours: []string{"guard"}, modules: []string{"x/time"}},
	"guard/limit/pglimit": {
		ours:    []string{"guard", "guard/limit"},
		modules: []string{"goose", "pgx", "sqlite", "x/sys", "x/time"},
	},
	"guard/mcpguard":        {ours: append([]string{"serververify/workload"}, guarded...), modules: []string{"go-sdk", "json", "template"}},
	"guard/telemetry":       {ours: guarded, modules: []string{"json", "otel", "prometheus"}},
	"guard/telemetry/gates": {modules: []string{"prometheus"}},
	"guard/gateway": {
		ours:    append([]string{"guard/mcpguard", "serververify", "serververify/mcpverify"}, guarded...),
		modules: []string{"go-sdk", "json", "template"},
	},

	// The program may use all that users may.
	"cmd/touchmark": {
		ours: append([]string{
			"badge/authority", "evidence/vault", "guard/policy/authzen", "guard/policy/cedar", "cmd/touchmark/internal/agent", "cmd/touchmark/internal/guarded", "cmd/touchmark/internal/logbench", "cmd/touchmark/internal/logs", "cmd/touchmark/internal/readers", "cmd/touchmark/internal/tour",
			"translog/explorer",
		}, all...),
		modules: []string{"cli", "go-jose", "go-sdk", "json", "uuid", "x/mod", "x/sys", "x/time", "yaml"},
	},
	"cmd/touchmark/internal/agent":   {ours: all, modules: []string{"go-sdk"}},
	"cmd/touchmark/internal/guarded": {ours: append([]string{"evidence/vault", "guard/policy/authzen"}, all...), modules: []string{"x/sys"}},
	"cmd/touchmark/internal/logbench": {
		ours: []string{"badge", "badge/pop", "cmd/touchmark/internal/logs", "did", "evidence", "guard", "guard/policy", "translog"},
	},
	"cmd/touchmark/internal/readers": {modules: []string{"x/sys", "x/time"}},
	"cmd/touchmark/internal/logs": {
		ours:    []string{"evidence", "translog", "translog/tesseralog", "translog/tlogclient", "translog/trillianlog", "translog/trillianlog/pgstate"},
		modules: []string{"json", "pgx", "x/sys"},
	},
	"cmd/touchmark/internal/tour": {
		ours:    append([]string{"cmd/touchmark/internal/logs"}, all...),
		modules: []string{"go-jose", "go-sdk", "json", "x/mod", "x/sys", "x/time", "yaml"},
	},

	// Parts that several of them share.
	"internal/durable":    {modules: []string{"x/sys"}},
	"internal/endpoint":   {},
	"internal/jcs":        {modules: []string{"json"}},
	"internal/jwk":        {modules: []string{"json"}},
	"internal/jws":        {modules: []string{"go-jose", "json"}},
	"internal/limitkey":   {},
	"internal/mcpwire":    {},
	"internal/safehttp":   {},
	"internal/sqlstore":   {modules: []string{"goose", "pgx", "sqlite", "x/sys"}},
	"internal/strictjson": {modules: []string{"json"}},
	"internal/strictyaml": {modules: []string{"yaml"}},

	// Tests and generators, which no program of a user contains: anything of
	// ours, any known module.
	"internal/depcheck":              {forTests: true},
	"internal/durable/durabletest":   {forTests: true},
	"internal/campaign":              {forTests: true},
	"internal/floor":                 {forTests: true},
	"internal/peers":                 {forTests: true},
	"internal/readme":                {forTests: true},
	"internal/safehttp/safehttptest": {forTests: true},
	"internal/sqlstore/sqltest":      {forTests: true},
	"internal/vectorgen":             {forTests: true},
	"internal/vectorgen/badge":       {forTests: true},
	"internal/vectorgen/callproof":   {forTests: true},
	"internal/vectorgen/did":         {forTests: true},
	"internal/vectorgen/evidence":    {forTests: true},
	"internal/vectorgen/grant":       {forTests: true},
	"internal/vectorgen/issuance":    {forTests: true},
	"internal/vectorgen/log":         {forTests: true},
	"internal/vectorgen/pins":        {forTests: true},
	"internal/vectorgen/policy":      {forTests: true},
	"internal/vectorgen/registry":    {forTests: true},
	"internal/vectorgen/serverproof": {forTests: true},
	"internal/vectorgen/vectorkit":   {forTests: true},
	"internal/vectorgen/vectortest":  {forTests: true},
}
