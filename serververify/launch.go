package serververify

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
)

// LaunchVariable is the environment variable in which a process gets the secret
// of its launch.
const LaunchVariable = "TOUCHMARK_LAUNCH"

const (
	launchContext = "touchmark/launch/v1\n"
	launchBytes   = 32
)

// A Launch is a secret that a client gives to the one process that it starts,
// and that the process's proofs are bound to ([BindingLaunch]): whoever was not
// started by this client, or by that process, does not know it. The zero Launch
// is none. It prints without the secret.
type Launch struct {
	secret [launchBytes]byte
}

// NewLaunch returns a fresh secret, for one process.
func NewLaunch() Launch {
	var l Launch
	rand.Read(l.secret[:]) // never fails
	return l
}

// LaunchSecret takes the secret of this process's own launch out of its
// environment, so that processes which it starts do not inherit it. It returns
// the zero Launch when there is none. Call it once, early in main.
func LaunchSecret() (Launch, error) {
	text, ok := os.LookupEnv(LaunchVariable)
	if !ok {
		return Launch{}, nil
	}
	if err := os.Unsetenv(LaunchVariable); err != nil {
		return Launch{}, fmt.Errorf("serververify: %s: %w", LaunchVariable, err)
	}
	var l Launch
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != launchBytes {
		return Launch{}, fmt.Errorf("serververify: %s is not base64url of %d bytes", LaunchVariable, launchBytes)
	}
	copy(l.secret[:], b)
	if l.IsZero() {
		return Launch{}, fmt.Errorf("serververify: %s holds no secret", LaunchVariable)
	}
	return l, nil
}

// IsZero reports whether l is no secret.
func (l Launch) IsZero() bool { return l == Launch{} }

// Environ returns the secret as an element of exec.Cmd.Env, for the process
// that is started and no other.
func (l Launch) Environ() string {
	return LaunchVariable + "=" + base64.RawURLEncoding.EncodeToString(l.secret[:])
}

// Format writes what l is, and never the secret.
func (l Launch) Format(f fmt.State, _ rune) {
	if l.IsZero() {
		fmt.Fprint(f, "no launch secret")
		return
	}
	fmt.Fprint(f, "launch secret")
}

// digest is what a proof holds of the secret.
func (l Launch) digest() string {
	return digest(append([]byte(launchContext), l.secret[:]...))
}

// digest returns the SHA-256 of data in the text form of proofs.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
