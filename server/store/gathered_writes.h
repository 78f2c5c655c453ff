// Writes to the write-ahead log in one piece.
//
// SQLite writes each page of a transaction to the log by two calls of the system. Together they are
// a seventh of what a commit costs, and none of it is of use before the log is flushed: so what is
// written one after the other is kept until then and written at once.
#ifndef RETORT_SERVER_STORE_GATHERED_WRITES_H_
#define RETORT_SERVER_STORE_GATHERED_WRITES_H_

#include <string>

namespace retort::store {

// The name of a sqlite3_vfs over another one, by its name (the default one if empty), which it is
// made for at the first call. For a connection with synchronous=FULL, which flushes the log before
// it tells readers of it. An error of a write is SQLite's to hear at the latest at that flush.
// Threads: any.
std::string GatheringVfsOver(const std::string& base);

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_GATHERED_WRITES_H_
