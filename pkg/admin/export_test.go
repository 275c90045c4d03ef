package admin

// InspectError adds a hint to an error of opening a history for reading.
var InspectError = inspectError
