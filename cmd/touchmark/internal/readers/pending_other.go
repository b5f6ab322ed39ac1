//go:build !linux

package readers

// pending is not known here. What was sent before a connection is closed is the system's to deliver.
func (c *connection) pending() bool { return false }
