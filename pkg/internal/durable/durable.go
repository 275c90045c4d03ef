// Package durable writes files that are there as a whole or not at all, also after a loss of power.
//
// The invariant: a name stands for what it stood for before until [File.Commit] has everything on the disk. What is written before
// stands under another name in the same directory, which is removed by whoever gives up.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file that comes to stand under its name once it is whole. It is for one goroutine.
type File struct {
	*os.File
	name string
	done bool
}

// Create begins a file, which only its owner may read. Either Commit or Discard ends it.
func Create(name string) (*File, error) {
	if st, err := os.Stat(name); err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "create", Path: name, Err: errors.New("it is there, and is no file")}
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".part-*")
	if err != nil {
		return nil, err
	}
	return &File{File: f, name: name}, nil
}

// Commit brings the file onto the disk and under its name, in place of what stood there.
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

// Discard removes what was written. After Commit it does nothing.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// SyncDir brings the names of a directory's files onto the disk. Windows has no such thing, and needs none.
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
