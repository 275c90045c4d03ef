// Package cluster boots throwaway control planes, keeps them running, finds
// them again and ends them.
//
// A cluster is a directory and one supervisor process. Supervise is that
// process: it owns the components and is the only writer of the directory's
// state file. Everything else here works from that file, in other processes.
//
// Nothing of a cluster outlives its supervisor but the directory, and that
// only when the supervisor was killed; the next Supervise of the same
// directory, or Down, removes it. A directory without a state file is never
// removed, and a process whose start time is not the recorded one is never
// signalled.
package cluster
