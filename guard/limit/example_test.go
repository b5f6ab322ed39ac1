package limit_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/touchmark-dev/touchmark/guard"
	"github.com/touchmark-dev/touchmark/guard/limit"
)

// A guard asks its limiter by itself: guard.Config{Limiter: limit.New(nil)}. This is what it asks.
func Example() {
	l := limit.New(nil)
	caller := guard.LimitKey{
		Caller:     "did:web:agents.example:ada",
		Capability: guard.Capability{Kind: guard.KindTool, Name: "search"},
	}
	one := &guard.Constraints{MaxConcurrent: 1}
	release, err := l.Acquire(context.Background(), caller, one)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = l.Acquire(context.Background(), caller, one)
	var limited *guard.LimitedError
	fmt.Println(errors.As(err, &limited))
	release()
	_, err = l.Acquire(context.Background(), caller, one)
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
