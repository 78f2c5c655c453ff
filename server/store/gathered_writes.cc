#include "server/store/gathered_writes.h"

#include <sqlite3.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <new>

namespace retort::store {
namespace {

// What is gathered at most: SQLite's file systems for Unix take no more in one call.
constexpr size_t kMostBytes = (size_t{128} << 10) - 1;

// A log that is open: SQLite gives the memory for this, and behind it for the file of the vfs
// below.
struct Log {
  sqlite3_file base;
  std::string bytes;
  sqlite3_int64 offset = 0;  // of bytes

  sqlite3_int64 end() const { return offset + static_cast<sqlite3_int64>(bytes.size()); }
};

constexpr size_t kAlign = alignof(max_align_t);
constexpr size_t kBelow = (sizeof(Log) + kAlign - 1) / kAlign * kAlign;

Log& LogOf(sqlite3_file* file) { return *reinterpret_cast<Log*>(file); }
sqlite3_file* Below(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + kBelow);
}

// What could not be written is forgotten: SQLite takes the transaction back, and writes over it.
int Flush(sqlite3_file* file) {
  Log& log = LogOf(file);
  if (log.bytes.empty()) return SQLITE_OK;
  const int code = Below(file)->pMethods->xWrite(Below(file), log.bytes.data(),
                                                 static_cast<int>(log.bytes.size()), log.offset);
  log.bytes.clear();
  return code;
}

// Calls a method of the file below when it has all that was written.
template <auto method, typename... Args>
int AfterFlush(sqlite3_file* file, Args... args) {
  const int code = Flush(file);
  return code != SQLITE_OK ? code : (Below(file)->pMethods->*method)(Below(file), args...);
}
template <auto method, typename... Args>
int AtOnce(sqlite3_file* file, Args... args) {
  return (Below(file)->pMethods->*method)(Below(file), args...);
}

int Close(sqlite3_file* file) {
  const int flushed = Flush(file);
  const int closed = Below(file)->pMethods->xClose(Below(file));
  LogOf(file).~Log();
  return flushed != SQLITE_OK ? flushed : closed;
}

int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
  const Log& log = LogOf(file);
  const bool apart = offset + size <= log.offset || offset >= log.end();
  if (!apart) {
    if (const int code = Flush(file); code != SQLITE_OK) return code;
  }
  return Below(file)->pMethods->xRead(Below(file), to, size, offset);
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  Log& log = LogOf(file);
  const auto bytes = static_cast<size_t>(size);
  if (offset != log.end() || log.bytes.size() + bytes > kMostBytes) {
    if (const int code = Flush(file); code != SQLITE_OK) return code;
    log.offset = offset;
  }
  log.bytes.append(static_cast<const char*>(from), bytes);
  return SQLITE_OK;
}

const sqlite3_io_methods kLogMethods = {
    .iVersion = 1,
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = AfterFlush<&sqlite3_io_methods::xTruncate, sqlite3_int64>,
    .xSync = AfterFlush<&sqlite3_io_methods::xSync, int>,
    .xFileSize = AfterFlush<&sqlite3_io_methods::xFileSize, sqlite3_int64*>,
    .xLock = AtOnce<&sqlite3_io_methods::xLock, int>,
    .xUnlock = AtOnce<&sqlite3_io_methods::xUnlock, int>,
    .xCheckReservedLock = AtOnce<&sqlite3_io_methods::xCheckReservedLock, int*>,
    .xFileControl = AtOnce<&sqlite3_io_methods::xFileControl, int, void*>,
    .xSectorSize = AtOnce<&sqlite3_io_methods::xSectorSize>,
    .xDeviceCharacteristics = AtOnce<&sqlite3_io_methods::xDeviceCharacteristics>,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

sqlite3_vfs* BaseOf(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

template <auto method, typename... Args>
int OfBase(sqlite3_vfs* vfs, Args... args) {
  return (BaseOf(vfs)->*method)(BaseOf(vfs), args...);
}

// Everything but a log is the base's alone.
int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* base = BaseOf(vfs);
  if ((flags & SQLITE_OPEN_WAL) == 0) return base->xOpen(base, name, file, flags, out_flags);
  file->pMethods = nullptr;
  const int code = base->xOpen(base, name, Below(file), flags, out_flags);
  if (code != SQLITE_OK) {
    if (Below(file)->pMethods != nullptr) Below(file)->pMethods->xClose(Below(file));
    return code;
  }
  Log* log = new (file) Log();
  log->bytes.reserve(kMostBytes);
  log->base.pMethods = &kLogMethods;
  return SQLITE_OK;
}

// Lives as long as the process: connections may use it at any time.
struct Gathering {
  explicit Gathering(const std::string& base_name) : name("gathering-" + base_name) {
    // No extensions are loaded, and no calls of the system replaced: these methods stay empty.
    vfs.iVersion = 2;
    vfs.zName = name.c_str();
    vfs.xOpen = Open;
    vfs.xDelete = OfBase<&sqlite3_vfs::xDelete, const char*, int>;
    vfs.xAccess = OfBase<&sqlite3_vfs::xAccess, const char*, int, int*>;
    vfs.xFullPathname = OfBase<&sqlite3_vfs::xFullPathname, const char*, int, char*>;
    vfs.xRandomness = OfBase<&sqlite3_vfs::xRandomness, int, char*>;
    vfs.xSleep = OfBase<&sqlite3_vfs::xSleep, int>;
    vfs.xCurrentTime = OfBase<&sqlite3_vfs::xCurrentTime, double*>;
    vfs.xGetLastError = OfBase<&sqlite3_vfs::xGetLastError, int, char*>;
    vfs.xCurrentTimeInt64 = OfBase<&sqlite3_vfs::xCurrentTimeInt64, sqlite3_int64*>;
  }
  void Over(sqlite3_vfs* base) {
    vfs.szOsFile = static_cast<int>(kBelow) + base->szOsFile;
    vfs.mxPathname = base->mxPathname;
    vfs.pAppData = base;
  }

  const std::string name;
  sqlite3_vfs vfs = {};
};

}  // namespace

std::string GatheringVfsOver(const std::string& base) {
  static std::mutex mutex;
  static auto& made = *new std::map<std::string, std::unique_ptr<Gathering>>();  // by base
  const std::lock_guard lock(mutex);
  sqlite3_vfs* found = sqlite3_vfs_find(base.empty() ? nullptr : base.c_str());
  if (found == nullptr) return base;  // who opens it hears that there is none
  std::unique_ptr<Gathering>& gathering = made[found->zName];
  const bool is_new = gathering == nullptr;
  if (is_new) gathering = std::make_unique<Gathering>(found->zName);
  // Another of the same name may have taken its place; ours stays in SQLite's list.
  if (gathering->vfs.pAppData != found) gathering->Over(found);
  if (is_new) sqlite3_vfs_register(&gathering->vfs, 0);
  return gathering->name;
}

}  // namespace retort::store
