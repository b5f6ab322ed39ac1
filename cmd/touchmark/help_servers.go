package main

// serversTopic is `touchmark help servers`.
const serversTopic = `Who a server is gets established before a badge, a call or an argument is sent there
(spec/server-identity.md). The answer is one of

  VERIFIED_PRINCIPAL   its DID, its badge, and a proof that it holds the key here and now
  DECLARED_PRINCIPAL   it names a DID, and something is missing or does not hold: refused
  UNVERIFIED_ORIGIN    it names nobody: refused

A server is named by https://HOST/PATH, by unix:/PATH.sock, with :/HTTP/PATH behind it if it
is not at the root, or by -- and the command that launches it on standard input and output.

The proof is bound to more than the server's word. --binding KIND accepts only the kinds
that it names; without it all but the last are accepted:

  tls-exporter      this TLS connection: nobody in the middle can pass the proof on
  unix-peer         the path of the socket, and this process as the kernel names it
  stdio-launch      a secret that only the process launched here was given
  stdio             nothing: what was launched reaches somebody who holds the key
  tls-server-spki   the key of the certificate, where a proxy ends TLS: weaker, since the
                    proxy can pass proofs on

--issuer and --trust-self-signed say whose word counts for badges, --min-level which level
is enough. Beyond that --pins FILE remembers servers and tools (touchmark help pins), and
--registry FILE has those that somebody approved (touchmark help registry).
`

// pinsTopic is `touchmark help pins`.
const pinsTopic = `--pins FILE names a file of known servers, one a line (spec/pins.md):

  endpoint did key first-seen last-seen tools expires

A server that is not in it is refused with SERVER_PIN_MISSING, one with another DID or key
with SERVER_PIN_MISMATCH, and one whose tools are described in other words, or have other
schemas, than those approved with SERVER_TOOLS_CHANGED and what changed. The refusal says
which command changes the file:

  touchmark server pin add --pins FILE ENDPOINT       verify a server, and pin it
  touchmark server pin approve --pins FILE ENDPOINT   see and approve its tools
  touchmark server pin rotate --pins FILE ENDPOINT    after its key was changed
  touchmark server pin remove --pins FILE ENDPOINT
  touchmark server pin list --pins FILE

With --trust-on-first-use a server that is met for the first time is pinned, with the
tools that it has then, instead of refused. A pin may end, with --for, and the server may
then be as one never met, with --forget: for servers that come and go.

The lists of tools that were approved, and the last that were refused, are in FILE.tools.
A gateway compares the tools of the server behind it, which may have no identity: its pin is
made with --no-identity and has the endpoint stdio: with the words of its command line.
`

// registryTopic is in the help of the command registry.
const registryTopic = `--registry FILE|URL names a list of servers that somebody approved and signed (spec/registry.md).
A server that is not in it is refused with SERVER_NOT_REGISTERED, and one in another
version or environment, or a tool that it has not, with SERVER_NOT_ALLOWED. --registry-key is
the public key that signs; --environment selects among the entries.`
