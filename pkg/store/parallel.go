package store

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// maxGoroutines bounds what one scan or one batch takes of the processors.
const maxGoroutines = 4

// parallel calls work with every number below n, by as many goroutines as there are processors and no more than most, this one
// among them, and returns once none runs any more. A panic of any of them is one of the caller's, who may catch it.
func parallel(n, most int, work func(i int)) {
	var next atomic.Int64
	var failure atomic.Pointer[string]
	run := func() {
		defer func() {
			if p := recover(); p != nil {
				text := fmt.Sprintf("%v\n%s", p, debug.Stack())
				failure.Store(&text)
			}
		}()
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			work(i)
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxGoroutines, n, most) - 1 {
		others.Go(run)
	}
	run()
	others.Wait()
	if text := failure.Load(); text != nil {
		panic(*text)
	}
}
