// Package cluster boots throwaway control planes, keeps them running, finds
// them again and ends them.
//
// A cluster is a directory and one supervisor process. The supervisor runs
// [Supervise]: it owns the components and is the only writer of the directory's
// state file. The other functions read that file, in other processes.
//
// If the supervisor is killed, the directory remains, and nothing else. The
// next [Supervise] of the same directory, or [Down], removes it. A directory
// without a state file is never removed. A process whose start time differs
// from the recorded one is never signalled.
package cluster
