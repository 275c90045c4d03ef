module github.com/watchhistory/watchhistory/tools/vuln

go 1.26.0

tool golang.org/x/vuln/cmd/govulncheck
