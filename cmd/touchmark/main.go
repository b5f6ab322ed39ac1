// Command touchmark makes and checks trust badges, verifies servers, guards
// tools, and proves from a transparency log what was done with them. Begin with
// `touchmark tour`; `touchmark help` lists the rest.
package main

import "os"

func main() {
	os.Exit(int(run(os.Args)))
}
