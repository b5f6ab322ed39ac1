package main

import (
	"net"
	"os"
)

// States of a service that systemd is told (sd_notify(3)).
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notify tells systemd about this service, if it is one. Nothing depends on the
// answer but how the service is shown.
func (con *console) notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		_ = conn.Close()
	}
	if err != nil {
		con.note("systemd was not told %s: %v", state, err)
	}
}
