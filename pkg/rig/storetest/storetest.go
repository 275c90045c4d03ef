// Package storetest is the conformance suite of the log: whatever its users rely on, as tests that know nothing of how it is
// stored. pkg/store runs it on BadgerDB; whoever puts another engine in its place runs it on that one.
//
// What a log means is said by pkg/history and by the interfaces of its users, [recorder.Log] and [query.Reader]; each test holds
// one of those promises, and is named after it. Bytes, files and speed are the engine's own, and so are backups, repair and what
// a crash leaves: they are tested beside the engine.
//
// That the suite can fail is tested, too: for each promise there is a log that breaks it.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// Log is the seam: all that the programs' parts ask of an open log. Its methods are safe for concurrent use.
type Log interface {
	recorder.Log
	query.Reader

	// Prune drops what lies behind the retention and, while the log takes more than [Options.MaxBytes], the oldest of the rest,
	// which gaps tell. Whatever stood when the remaining time begins stays.
	Prune(ctx context.Context) error
	// RedactionKey returns the bytes that secret values are hashed with. They were made at random with the log, and stay.
	RedactionKey() []byte
	// Close ends running scans with an [history.Unavailable] error, as it does for all that is asked later. Closing a log again
	// does nothing.
	Close() error
}

// Options are what the suite asks of a log that it opens.
type Options struct {
	Retention time.Duration    // 0: the engine's default, which is a week at least
	Now       func() time.Time // the clock that records are dated with; it is set by hand, never far from the real one
	MaxBytes  int64            // 0: no limit
}

// Open opens the log of a directory, which is empty at first, or fails the test. The suite closes what it opens, and opens it again
// in the same directory; what the engine hands to tb.Cleanup is called after the log was closed.
type Open func(tb testing.TB, dir string, o Options) Log

// Run tests that the logs which open opens keep every promise, each as a subtest, on logs of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) { p.test(newSubject(t, open, Options{})) })
	}
}

// Promises returns the names of the suite's subtests.
func Promises() (names []string) {
	for _, p := range promises() {
		names = append(names, p.name)
	}
	return names
}

// promise is something that users of a log rely on, and how it is tested.
type promise struct {
	name string
	test func(*subject)
}

func promises() []promise {
	return []promise{
		{"RecordsAreReadAsTheyWereAppended", recordsAreReadAsAppended},
		{"TimesIncreaseWhateverTheClockDoes", timesIncrease},
		{"RevisionsCountTheVersionsOfAnIncarnation", revisionsCount},

		{"AnInvalidBatchChangesNothing", invalidBatchesChangeNothing},
		{"ABatchIsSeenAsAWhole", batchesAreSeenWhole},
		{"ABatchMayHaveThousandsOfRecords", batchesMayBeLarge},

		{"ACheckpointIsNeverAheadOfItsRecords", checkpointsAreNeverAhead},
		{"ACheckpointIsTheLastOneOfItsResource", checkpointsAreTheLast},
		{"ACheckpointKeepsWhenItWasReceived", checkpointsKeepTheirTime},

		{"AGapIsOpenUntilItsEndReplacesIt", gapsAreOpenUntilTheyEnd},
		{"GapsCommitWithTheirBatch", gapsCommitWithTheirBatch},

		{"HeadsAreTheNewestVersionsOfWhatIsAlive", headsAreWhatIsAlive},
		{"LatestIsTheNewestVersionOfAnObject", latestIsTheNewest},
		{"TheCatalogueKeepsWhatIsRegistered", catalogueKeeps},
		{"TheCatalogueKeepsSinceWhenAResourceIsRecorded", catalogueKeepsBeginnings},
		{"TheRedactionKeyStays", redactionKeyStays},

		{"AFilterSelectsWhatItMatches", filtersSelect},
		{"PagesAreTheWholeCutByTheirLimit", pagesAreTheWhole},
		{"ACountIsThatOfTheScan", countsAreThoseOfScans},
		{"ACursorStaysValidWhileRecordsArrive", cursorsOutliveAppends},
		{"AScanSeesTheLogAsItWasWhenItBegan", scansSeeOneMoment},
		{"WhatIsReadBelongsToTheReader", whatIsReadIsTheReaders},

		{"WhatIsOlderThanTheRetentionIsNotAnswered", retentionHides},
		{"WhatStandsWhenTheRetentionBeginsIsAnswered", standingVersionsStay},
		{"PruningByAgeChangesNoAnswer", pruningChangesNoAnswer},
		{"PruningBySizeIsToldByGaps", pruningBySizeIsTold},
		{"WhatNeverChangesOutlivesItsRetention", idleLogsStay},
		{"ACursorStaysValidWhileRecordsAreDropped", cursorsOutliveDrops},
		{"AScanIsWholeOrFailsWhileRecordsAreDropped", scansOutliveDrops},
		{"RecordsArriveWhileOthersAreDropped", pruningHoldsNobodyUp},

		{"ObjectsOfAnySizeAreKept", anySizeIsKept},
		{"NamesOfAnyBytesAreKeptApart", anyNameIsKept},
		{"NoHintAtTheVersionBeforeChangesABody", hintsChangeNothing},
		{"AllIsThereWhenItIsOpenedAgain", allOutlivesClosing},

		{"ReadersSeeABeginningOfTheLogBesideAWriter", readersSeeABeginning},
		{"ClosingEndsScansWithAnError", closingEndsScans},
		{"AClosedLogIsUnavailable", closedLogsAreUnavailable},
		{"AContextThatEndsEndsScansAndAppends", contextsEndWork},
	}
}
