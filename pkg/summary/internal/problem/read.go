package problem

import (
	"strconv"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The functions of this file read the fields that nearly every recorded version
// is checked for. They take a tenth of the time of encoding/json. If a value
// has an unexpected kind, the scan fails and no problem is reported.

// readPod reads the fields of a pod that show problems.
func readPod(object []byte) podObject {
	p := podObject{json: object}
	scan := rawjson.ScanValid(object)
	for _, key := range scan.Members() {
		switch string(key) {
		case "metadata":
			for _, key := range scan.Members() {
				if string(key) == "deletionTimestamp" {
					p.Metadata.DeletionTimestamp = scan.Text()
				}
			}
		case "status":
			p.readStatus(&scan)
		}
	}
	if scan.End() != nil {
		return podObject{}
	}
	return p
}

// readStatus reads the status, which comes next.
func (p *podObject) readStatus(scan *rawjson.Scanner) {
	s := &p.Status
	for _, key := range scan.Members() {
		switch string(key) {
		case "phase":
			s.Phase = scan.Text()
		case "reason":
			s.Reason = scan.Text()
		case "message":
			s.Message = scan.Text()
		case "conditions":
			s.Conditions = readConditions(scan)
		case "initContainerStatuses":
			s.InitContainerStatuses = readContainers(scan)
		case "containerStatuses":
			s.ContainerStatuses = readContainers(scan)
		}
	}
}

// readContainers reads a list of container statuses, which comes next.
func readContainers(scan *rawjson.Scanner) (all []container) {
	for range scan.Elements() {
		var c container
		for _, key := range scan.Members() {
			switch string(key) {
			case "name":
				c.Name = scan.Text()
			case "ready":
				c.Ready = isTrue(scan)
			case "started":
				if scan.Kind() == rawjson.Bool {
					c.Started = new(isTrue(scan))
				}
			case "restartCount":
				c.RestartCount = integer(scan)
			case "state":
				c.State = readState(scan)
			case "lastState":
				c.LastState = readState(scan)
			}
		}
		all = append(all, c)
	}
	return all
}

// readState reads the state of a container, which comes next.
func readState(scan *rawjson.Scanner) (s containerState) {
	for _, key := range scan.Members() {
		if scan.Kind() != rawjson.Object {
			continue
		}
		switch string(key) {
		case "waiting":
			s.Waiting = &waiting{}
			s.Waiting.Reason, s.Waiting.Message, _ = readReason(scan)
		case "running":
			s.Running = &struct{}{}
		case "terminated":
			s.Terminated = &termination{}
			s.Terminated.Reason, s.Terminated.Message, s.Terminated.ExitCode = readReason(scan)
		}
	}
	return s
}

// readReason reads the fields of a waiting or terminated state.
func readReason(scan *rawjson.Scanner) (reason, message string, code int) {
	for _, key := range scan.Members() {
		switch string(key) {
		case "reason":
			reason = scan.Text()
		case "message":
			message = scan.Text()
		case "exitCode":
			code = integer(scan)
		}
	}
	return reason, message, code
}

// conditionsOf returns the status.conditions of an object.
func conditionsOf(object []byte) (found []condition) {
	scan := rawjson.ScanValid(object)
	for _, key := range scan.Members() {
		if string(key) != "status" {
			continue
		}
		for _, key := range scan.Members() {
			if string(key) == "conditions" {
				found = readConditions(&scan)
			}
		}
	}
	if scan.End() != nil {
		return nil
	}
	return found
}

// readConditions reads a list of conditions, which comes next.
func readConditions(scan *rawjson.Scanner) (all []condition) {
	for range scan.Elements() {
		var c condition
		for _, key := range scan.Members() {
			switch string(key) {
			case "type":
				c.Type = scan.Text()
			case "status":
				c.Status = scan.Text()
			case "reason":
				c.Reason = scan.Text()
			case "message":
				c.Message = scan.Text()
			}
		}
		all = append(all, c)
	}
	return all
}

// isTrue consumes the value that comes next, and reports whether it is true.
func isTrue(scan *rawjson.Scanner) bool { return string(scan.Skip()) == "true" }

// integer reads a number. It returns 0 for any value that is not a whole
// number.
func integer(scan *rawjson.Scanner) int {
	n, _ := strconv.Atoi(string(scan.Skip()))
	return n
}
