// Package durable writes files that are complete or don't exist, even after a
// loss of power.
//
// Invariant: a name refers to the old file, or to none, until [File.Commit] has
// synced the new one. Until then the new file has a temporary name in the same
// directory.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file that gets its name once it is complete. It must be used by one
// goroutine at a time.
type File struct {
	*os.File        // has a temporary name
	name     string // after Commit
	done     bool   // Commit or Discard was called
}

// Create creates a file with permissions 0600. The caller must call Commit or
// Discard.
func Create(name string) (*File, error) {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "create", Path: name, Err: errors.New("it exists and is not a regular file")}
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".part-*")
	if err != nil {
		return nil, err
	}
	return &File{File: f, name: name}, nil
}

// Commit syncs and closes the file, and renames it to its name. It replaces an
// existing file. If it fails before the rename, it removes the temporary file.
func (f *File) Commit() error {
	f.done = true
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return SyncDir(filepath.Dir(f.name))
}

// Discard removes the temporary file. After Commit it does nothing.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// SyncDir syncs the names of a directory's files. On Windows it does nothing,
// because there it is neither possible nor necessary.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
