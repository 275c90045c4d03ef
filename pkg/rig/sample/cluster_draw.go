package sample

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// draw returns 64 random bits. They are a function of the seed, the object's
// number and the purpose.
func (c *Cluster) draw(of, purpose uint64) uint64 {
	x := c.seed ^ of*0x9e3779b97f4a7c15 ^ purpose*0xd1b54a32d192ed03
	// The rest is the finaliser of SplitMix64.
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// The purposes of draw.
const (
	forUID = iota // uses two
	_
	forName
	forHash
	forAddress
	forDigest = 16 // each digest uses four
)

// uid returns an object's UID.
func (c *Cluster) uid(of uint64) string {
	a, b := c.draw(of, forUID), c.draw(of, forUID+1)
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48, b&0xffffffffffff)
}

// suffix returns the random suffix of a generated name.
func (c *Cluster) suffix(of, purpose uint64, length int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	bits, b := c.draw(of, purpose), make([]byte, length)
	for i := range b {
		b[i] = letters[bits%uint64(len(letters))]
		bits /= uint64(len(letters))
	}
	return string(b)
}

// digest returns 64 hexadecimal digits. Each value of which gives other digits.
func (c *Cluster) digest(of, which uint64) string {
	p := forDigest + 4*which
	return fmt.Sprintf("%016x%016x%016x%016x", c.draw(of, p), c.draw(of, p+1), c.draw(of, p+2), c.draw(of, p+3))
}

// address returns the IP address of a pod.
func (c *Cluster) address(of uint64) string {
	bits := c.draw(of, forAddress)
	return fmt.Sprintf("10.%d.%d.%d", 64+bits&63, bits>>8&255, 1+bits>>16&127)
}

func number(n int) string       { return strconv.Itoa(n) }
func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func flag(b bool) string        { return strconv.FormatBool(b) }
func lower(s string) string     { return strings.ToLower(s) }
func condition(b bool) string   { return map[bool]string{false: "False", true: "True"}[b] }
func application(a int) string  { return fmt.Sprintf("app-%d", a) }
func namespaceOf(a int) string  { return fmt.Sprintf("team-%d", a%40) }
func nodeName(n int) string     { return fmt.Sprintf("node-%d.example.internal", n) }
func nodeAddress(n int) string  { return fmt.Sprintf("10.0.%d.%d", n>>8&255, n&255) }
func image(revision int) string { return fmt.Sprintf("1.%d.0", revision) }
func zone(n int) string         { return number(n % 3) }
