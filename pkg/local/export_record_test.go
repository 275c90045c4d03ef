package local

// RemoveStale removes the temporary directories of processes that were killed.
var RemoveStale = removeStale
