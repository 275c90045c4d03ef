package badgerdir

import (
	"fmt"
	"syscall"
)

// filesystem returns the name of a directory's file system, or its number if
// the name is not listed. It is empty if it can't be read.
func filesystem(dir string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return ""
	}
	magic := uint32(st.Type)
	names := map[uint32]string{
		0x6969: "nfs", 0xff534d42: "cifs (SMB)", 0xfe534d42: "smb2 (SMB)", 0x517b: "smb",
		0x65735546: "fuse", 0x01021997: "9p",
		0x00c36400: "ceph", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x5346414f: "afs",
		0x7461636f: "ocfs2", 0x01161970: "gfs2",
		0x786f4256: "vboxsf", 0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs",
		0x794c7630: "overlay", 0x2fc12fc1: "zfs", 0xf2f52010: "f2fs",
	}
	if name, known := names[magic]; known {
		return name
	}
	return fmt.Sprintf("a file system of type %#x", magic)
}
