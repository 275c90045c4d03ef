// Package client is a library for the recorder's REST API.
//
// A [Client] queries one recorder over HTTP. These are the last ten changes of
// a namespace, newest first:
//
//	c, err := client.New("http://127.0.0.1:8080", client.Options{})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	page, err := c.Events(ctx, client.EventsQuery{
//		Namespace: "shop",
//		Order:     history.NewestFirst,
//		Limit:     10,
//		Summary:   true, // without the objects
//	})
//	if err != nil {
//		return err
//	}
//	for _, e := range page.Events { // each is a v1.Event
//		fmt.Println(e.Timestamp, e.Verb, e.ResourceType, e.ResourceName, e.Summary)
//	}
//	if page.Gaps > 0 {
//		fmt.Println("changes may be missing")
//	}
//
// Packages history and api/v1 have the types of queries and answers.
//
// The methods correspond to the endpoints: [Client.Events] and [Client.Object]
// return one page, [Client.All] and [Client.Versions] iterate over all pages,
// [Client.Gaps] lists gaps, and [Client.Resources] returns the catalogue.
// [Client.State] and [Client.Compare] return one page of the objects as they
// were at a time, or of what differs between two times. [Client.Objects] and
// [Client.Differences] iterate over all pages. [Client.Watch] iterates over the
// records to come, and connects again if the connection is lost.
// Package client/kube finds a recorder in a cluster and connects to it through
// the API server.
//
// # Invariants
//
//   - A result is complete or an error. A truncated answer is an error.
//   - The size of an answer and the number of its elements are bounded.
//   - An answer that no recorder would give is reported as [ErrNotRecorder].
//
// # Errors
//
// Failures are [history.Error] values: their code shows whether a retry may
// help, and their message is one line that is safe to print. The Err* variables
// identify causes that a program may explain to its user. If the caller's
// context ends, the error wraps the context's cause.
//
// # Limits
//
// A request is sent again if the recorder answers that it is busy, after the
// time that it names, and if a recorder that has answered before can't be
// reached. [Options.RetryWait] bounds both. So a read of many pages, and
// [Client.Watch], continue after a restart of the recorder.
//
// The package does not cache, log, or write to stdout or stderr. It imports
// neither client-go nor any part of the recorder but the API's types.
package client
