// Package storetest is the conformance suite of the log. It tests what the
// users of a log rely on, independently of how the log is stored. pkg/store
// runs it on its log. Another engine would run it, too.
//
// pkg/history and the interfaces [recorder.Log] and [query.Reader] define the
// behavior. Each test covers one promise and has its name. Bytes, files, speed,
// backups, repair and crashes belong to the engine, and are tested there.
//
// For each promise the package's own test runs the suite on a log that breaks
// it, and checks that the suite fails.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// Log is the interface of an open log. Its methods are safe for concurrent use.
type Log interface {
	recorder.Log
	query.Reader
	query.Feed

	// Prune drops what is older than the retention. While the log is larger
	// than [Options.MaxBytes], it also drops the oldest remaining records, and
	// adds gaps for them. Baselines are kept.
	Prune(ctx context.Context) error
	// RedactionKey returns the bytes that secret values are hashed with. They
	// are random, and never change.
	RedactionKey() []byte
	// Close ends running scans with a [history.Unavailable] error, and so do
	// all later calls. Closing a log again does nothing.
	Close() error
}

// Options are the options with which the suite opens a log.
type Options struct {
	Retention time.Duration    // 0: the engine's default, at least a week
	Now       func() time.Time // the clock for records; a manual clock, near the real time
	MaxBytes  int64            // 0: no limit
}

// Open opens the log of a directory, which is empty at first, or fails the
// test. The suite closes the log, and may open it again. Functions that the
// engine passes to tb.Cleanup run after the log was closed. Open is called
// concurrently, for different directories.
type Open func(tb testing.TB, dir string, o Options) Log

// Run tests that the logs of open keep every promise. Each promise is a subtest
// with its own logs. The subtests run in parallel, after the function that
// calls Run has returned.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, p := range promises() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(newSubject(t, open, Options{}))
		})
	}
}

// Promises returns the names of the subtests.
func Promises() (names []string) {
	for _, p := range promises() {
		names = append(names, p.name)
	}
	return names
}

// promise is a behavior that users of a log rely on, and its test.
type promise struct {
	name string
	test func(*subject)
}

func promises() []promise {
	return []promise{
		{"RecordsReadAsAppended", recordsReadAsAppended},
		{"TimesIncreaseWhenClockJumps", timesIncrease},
		{"RevisionsCountVersionsOfIncarnation", revisionsCount},

		{"InvalidBatchChangesNothing", invalidBatchChangesNothing},
		{"BatchIsAtomic", batchIsAtomic},
		{"BatchOfThousandsOfRecords", batchOfThousands},

		{"CheckpointNotNewerThanRecords", checkpointNotNewer},
		{"CheckpointIsLastCommitted", checkpointIsLast},
		{"CheckpointKeepsItsTime", checkpointKeepsTime},

		{"GapIsOpenUntilItEnds", gapIsOpenUntilItEnds},
		{"GapsCommitWithTheirBatch", gapsCommitWithTheirBatch},

		{"HeadsAreNewestVersionsOfLiveObjects", headsOfLiveObjects},
		{"LatestIsNewestVersion", latestIsTheNewest},
		{"CatalogueKeepsResources", catalogueKeeps},
		{"CatalogueKeepsWhenRecordingBegan", catalogueKeepsSince},
		{"RedactionKeyIsStable", redactionKeyIsStable},

		{"FilterSelectsMatchingRecords", filtersSelect},
		{"ReservedResourcesOnlyByName", reservedOnlyByName},
		{"PagesAreComplete", pagesAreComplete},
		{"CountEqualsScan", countEqualsScan},
		{"ObjectsAreTheirFirstRecords", objectsAreFirst},
		{"MayMatchMissesNothing", mayMatchMissesNothing},
		{"CursorValidDuringAppends", cursorValidDuringAppends},
		{"ScanIsSnapshot", scanIsSnapshot},
		{"ResultsBelongToCaller", resultsBelongToCaller},

		{"StateHasVersionsOfItsTime", stateHasVersionsOfItsTime},
		{"StatePagesAreComplete", statePagesAreComplete},
		{"ComparisonIsDifferenceOfStates", comparisonIsDifference},
		{"StateOfRetentionOnly", stateOfRetentionOnly},

		{"RecordsExpireWithRetention", recordsExpire},
		{"BaselinesAreReturned", baselinesAreReturned},
		{"PruneByAgeChangesNoResult", pruneByAgeChangesNothing},
		{"PruneBySizeAddsGaps", pruneBySizeAddsGaps},
		{"UnchangedObjectsOutliveRetention", unchangedObjectsStay},
		{"CursorValidDuringPrune", cursorValidDuringPrune},
		{"ScanCompleteOrFailsDuringPrune", scanCompleteOrFails},
		{"AppendsDuringPrune", appendsDuringPrune},

		{"FollowersMissNothing", followersMissNothing},
		{"CommittedSurvivesReopen", committedSurvives},
		{"CommittedAnnouncesEveryCommit", committedAnnounces},
		{"ActiveHasNamespacesOfRecords", activeHasNamespaces},
		{"KeptEndsWithRetention", keptEnds},
		{"KeptEndsWithDroppedDays", keptEndsWithDays},

		{"ObjectsOfAnySize", objectsOfAnySize},
		{"NamesOfAnyBytes", namesOfAnyBytes},
		{"WrongHintsChangeNothing", wrongHintsChangeNothing},
		{"EverythingSurvivesReopen", everythingSurvivesReopen},

		{"ReadersSeePrefixDuringAppends", readersSeePrefix},
		{"CloseEndsScansWithError", closeEndsScans},
		{"ClosedLogIsUnavailable", closedLogIsUnavailable},
		{"ContextEndsScansAndAppends", contextEndsWork},
	}
}
