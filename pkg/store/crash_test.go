package store_test

const crashDir = "WATCHHISTORY_CRASH_DIR"

func crashChild(string) {}
