// A file system of SQLite's that fails on demand, over the real one.
#ifndef RETORT_TESTS_UNIT_STORE_FAULTY_VFS_H_
#define RETORT_TESTS_UNIT_STORE_FAULTY_VFS_H_

#include <sqlite3.h>

#include <functional>
#include <string>

namespace retort::store {

// One operation on a file.
struct FileCall {
  enum class Op { kOpen, kRead, kWrite, kTruncate, kSync, kDelete, kShm };
  Op op;
  bool wal = false;  // the write-ahead log, else the database (or neither)
  int number = 0;    // of all calls since the VFS was made, from 0
};

// What happens instead: SQLITE_OK goes on; another result code is returned. A write that fails may
// have written half of its bytes.
struct Fault {
  int code = SQLITE_OK;
  bool half = false;
};

// Registered under its name as long as it lives; connections must be closed before. Flushes are not
// passed on: the tests lose processes, not power. Threads: one.
class FaultyVfs {
 public:
  explicit FaultyVfs(std::string name);
  ~FaultyVfs();
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  const std::string& name() const { return name_; }
  int calls() const { return calls_; }
  int faults() const { return faults_; }

  // Asked before each operation; unset: nothing fails.
  std::function<Fault(const FileCall&)> plan;

  // For the shim.
  Fault Ask(FileCall::Op op, bool wal);
  sqlite3_vfs* real() const { return real_; }

 private:
  const std::string name_;
  sqlite3_vfs* const real_;
  sqlite3_vfs vfs_;
  int calls_ = 0;
  int faults_ = 0;
};

}  // namespace retort::store

#endif  // RETORT_TESTS_UNIT_STORE_FAULTY_VFS_H_
