package rawjson

import "time"

// CreationTime returns the metadata.creationTimestamp of a Kubernetes object.
// It is zero if there is none that can be read.
func CreationTime(object []byte) (created time.Time) {
	scan := Scan(object)
	for _, key := range scan.Members() {
		if string(key) != "metadata" {
			continue
		}
		for _, field := range scan.Members() {
			if string(field) != "creationTimestamp" {
				continue
			}
			if t, err := time.Parse(time.RFC3339, scan.Text()); err == nil {
				created = t.UTC()
			}
			return created
		}
		break
	}
	return time.Time{}
}
