#include "tests/unit/store/faulty_vfs.h"

#include <cstring>
#include <new>
#include <utility>

namespace retort::store {
namespace {

using Op = FileCall::Op;

// What SQLite holds of an open file; the real file follows it in memory.
struct FaultyFile {
  sqlite3_file base;
  FaultyVfs* owner;
  bool wal;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultyFile* Of(sqlite3_file* file) { return reinterpret_cast<FaultyFile*>(file); }
const sqlite3_io_methods* Real(sqlite3_file* file) { return Of(file)->real()->pMethods; }
Fault Ask(sqlite3_file* file, Op op) { return Of(file)->owner->Ask(op, Of(file)->wal); }

int Close(sqlite3_file* file) { return Real(file)->xClose(Of(file)->real()); }

int Read(sqlite3_file* file, void* to, int bytes, sqlite3_int64 offset) {
  const Fault fault = Ask(file, Op::kRead);
  if (fault.code == SQLITE_IOERR_SHORT_READ) std::memset(to, 0, static_cast<size_t>(bytes));
  if (fault.code != SQLITE_OK) return fault.code;
  return Real(file)->xRead(Of(file)->real(), to, bytes, offset);
}

int Write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 offset) {
  const Fault fault = Ask(file, Op::kWrite);
  if (fault.code != SQLITE_OK && fault.half) {
    Real(file)->xWrite(Of(file)->real(), from, bytes / 2, offset);
  }
  if (fault.code != SQLITE_OK) return fault.code;
  return Real(file)->xWrite(Of(file)->real(), from, bytes, offset);
}

int Truncate(sqlite3_file* file, sqlite3_int64 bytes) {
  const Fault fault = Ask(file, Op::kTruncate);
  return fault.code != SQLITE_OK ? fault.code : Real(file)->xTruncate(Of(file)->real(), bytes);
}

int Sync(sqlite3_file* file, int) { return Ask(file, Op::kSync).code; }

int FileSize(sqlite3_file* file, sqlite3_int64* bytes) {
  return Real(file)->xFileSize(Of(file)->real(), bytes);
}
int Lock(sqlite3_file* file, int level) { return Real(file)->xLock(Of(file)->real(), level); }
int Unlock(sqlite3_file* file, int level) { return Real(file)->xUnlock(Of(file)->real(), level); }
int CheckReserved(sqlite3_file* file, int* out) {
  return Real(file)->xCheckReservedLock(Of(file)->real(), out);
}
int Control(sqlite3_file* file, int op, void* arg) {
  return Real(file)->xFileControl(Of(file)->real(), op, arg);
}
int SectorSize(sqlite3_file* file) { return Real(file)->xSectorSize(Of(file)->real()); }
int Characteristics(sqlite3_file* file) {
  return Real(file)->xDeviceCharacteristics(Of(file)->real());
}
int ShmMap(sqlite3_file* file, int page, int bytes, int extend, void volatile** out) {
  const Fault fault = Ask(file, Op::kShm);
  if (fault.code != SQLITE_OK) return fault.code;
  return Real(file)->xShmMap(Of(file)->real(), page, bytes, extend, out);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  return Real(file)->xShmLock(Of(file)->real(), offset, n, flags);
}
void ShmBarrier(sqlite3_file* file) { Real(file)->xShmBarrier(Of(file)->real()); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return Real(file)->xShmUnmap(Of(file)->real(), remove);
}

// Version 2: shared memory, but no mapping of the file.
constexpr sqlite3_io_methods kMethods = {
    2,        Close,         Read,    Write,      Truncate,        Sync,   FileSize, Lock,
    Unlock,   CheckReserved, Control, SectorSize, Characteristics, ShmMap, ShmLock,  ShmBarrier,
    ShmUnmap, nullptr,       nullptr};

FaultyVfs* Owner(sqlite3_vfs* vfs) { return static_cast<FaultyVfs*>(vfs->pAppData); }

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out) {
  FaultyVfs* owner = Owner(vfs);
  auto* faulty = new (file) FaultyFile{{nullptr}, owner, (flags & SQLITE_OPEN_WAL) != 0};
  const Fault fault = owner->Ask(Op::kOpen, faulty->wal);
  if (fault.code != SQLITE_OK) return fault.code;
  const int code = owner->real()->xOpen(owner->real(), path, faulty->real(), flags, out);
  if (code == SQLITE_OK) faulty->base.pMethods = &kMethods;
  return code;
}

int Delete(sqlite3_vfs* vfs, const char* path, int sync) {
  FaultyVfs* owner = Owner(vfs);
  const Fault fault = owner->Ask(Op::kDelete, false);
  return fault.code != SQLITE_OK ? fault.code : owner->real()->xDelete(owner->real(), path, sync);
}
int Access(sqlite3_vfs* vfs, const char* path, int flags, int* out) {
  return Owner(vfs)->real()->xAccess(Owner(vfs)->real(), path, flags, out);
}
int FullPathname(sqlite3_vfs* vfs, const char* path, int bytes, char* out) {
  return Owner(vfs)->real()->xFullPathname(Owner(vfs)->real(), path, bytes, out);
}

}  // namespace

FaultyVfs::FaultyVfs(std::string name)
    : name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
  vfs_.szOsFile = static_cast<int>(sizeof(FaultyFile)) + real_->szOsFile;
  vfs_.pNext = nullptr;
  vfs_.zName = name_.c_str();
  vfs_.pAppData = this;
  vfs_.xOpen = Open;
  vfs_.xDelete = Delete;
  vfs_.xAccess = Access;
  vfs_.xFullPathname = FullPathname;
  sqlite3_vfs_register(&vfs_, /*makeDflt=*/0);
}

FaultyVfs::~FaultyVfs() { sqlite3_vfs_unregister(&vfs_); }

Fault FaultyVfs::Ask(FileCall::Op op, bool wal) {
  const int number = calls_++;
  if (!plan) return {};
  const Fault fault = plan({op, wal, number});
  faults_ += fault.code != SQLITE_OK;
  return fault;
}

}  // namespace retort::store
