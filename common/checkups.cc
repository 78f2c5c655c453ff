#include "common/checkups.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kMostText = 512;  // bytes of Checkup.found and Checkup.advice

constexpr absl::Duration kClockWarning = absl::Seconds(2);
constexpr absl::Duration kClockError = absl::Minutes(1);
// A full disk stops everything; a tenth, or this much, is time to act.
constexpr int64_t kFreeError = int64_t{256} << 20;
constexpr int64_t kFreeWarning = int64_t{5} << 30;
// Each commit waits for the disk. A disk of rotating platters takes 10 to 20 ms.
constexpr absl::Duration kSlowFlush = absl::Milliseconds(50);

std::string Cut(const std::string& text) {
  size_t size = std::min(text.size(), kMostText);
  while (size < text.size() && size > 0 && (text[size] & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

std::string DurationText(absl::Duration duration) {
  const absl::Duration size = absl::AbsDuration(duration);
  if (size < absl::Milliseconds(1)) return "less than 1ms";
  return absl::FormatDuration(size < absl::Seconds(10) ? absl::Trunc(size, absl::Milliseconds(1))
                                                       : absl::Trunc(size, absl::Seconds(1)));
}

}  // namespace

v1::Checkup MakeCheckup(const std::string& where, const std::string& what, v1::CheckupState state,
                        const std::string& found, const std::string& advice) {
  v1::Checkup checkup;
  checkup.set_where(where);
  checkup.set_what(what);
  checkup.set_state(state);
  checkup.set_found(Cut(found));
  checkup.set_advice(Cut(advice));
  return checkup;
}

v1::Checkup JudgeVersion(const std::string& where, const std::string& own,
                         const std::string& coordinators) {
  if (own == coordinators) return MakeCheckup(where, "version", v1::CHECKUP_STATE_OK, own);
  return MakeCheckup(where, "version", v1::CHECKUP_STATE_WARNING,
                     absl::StrCat("is ", own, ", the coordinator ", coordinators),
                     "run one version everywhere; upgrade the coordinator first");
}

v1::Checkup JudgeClock(const std::string& where, absl::Duration ahead, absl::Duration uncertainty) {
  const absl::Duration sure = absl::AbsDuration(ahead) - uncertainty;
  const std::string difference =
      absl::AbsDuration(ahead) < absl::Milliseconds(1)
          ? "agrees with ours"
          : absl::StrCat("is ", DurationText(ahead),
                         ahead < absl::ZeroDuration() ? " behind" : " ahead");
  const std::string found =
      absl::StrCat("the coordinator's ", difference, ", give or take ",
                   DurationText(absl::Ceil(uncertainty, absl::Milliseconds(1))));
  const std::string advice =
      "set both by NTP: leases do not mind, but times in tables, and the ends of tokens and "
      "certificates do";
  if (sure > kClockError) {
    return MakeCheckup(where, "clock", v1::CHECKUP_STATE_ERROR, found, advice);
  }
  if (sure > kClockWarning) {
    return MakeCheckup(where, "clock", v1::CHECKUP_STATE_WARNING, found, advice);
  }
  return MakeCheckup(where, "clock", v1::CHECKUP_STATE_OK, found);
}

v1::Checkup JudgeSecret(const std::string& where, const std::string& name, mode_t mode) {
  const mode_t bits = mode & 0777;
  const std::string found = absl::StrFormat("%s has mode %04o", name, bits);
  if ((bits & 077) == 0) {
    return MakeCheckup(where, "permissions", v1::CHECKUP_STATE_OK, found);
  }
  const mode_t right = S_ISDIR(mode) ? 0700 : 0600;
  return MakeCheckup(where, "permissions", v1::CHECKUP_STATE_ERROR, found,
                     absl::StrFormat("whoever reads it can act by its token: chmod %o, and revoke "
                                     "the token if others have accounts here",
                                     right));
}

v1::Checkup JudgeDescriptors(const std::string& where, int64_t limit, int64_t needed) {
  const std::string found = absl::StrCat(limit, " files may be open, at most ", needed, " needed");
  if (limit >= needed) return MakeCheckup(where, "descriptors", v1::CHECKUP_STATE_OK, found);
  return MakeCheckup(where, "descriptors", v1::CHECKUP_STATE_WARNING, found,
                     absl::StrCat("raise the limit before starting it: ulimit -n ", needed,
                                  ", or LimitNOFILE= of the unit"));
}

absl::StatusOr<FolderFacts> LookAtFolder(const std::string& folder) {
  FolderFacts facts;
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) != 0) return ErrnoStatus(errno, folder, "cannot be looked at");
  facts.free_bytes = static_cast<int64_t>(disk.f_bavail * disk.f_frsize);
  facts.all_bytes = static_cast<int64_t>(disk.f_blocks * disk.f_frsize);
  const std::string path = folder + "/.doctor-" + NewUuid();
  const absl::Time begin = absl::Now();
  facts.writable = WriteFileAtomically(path, "doctor");
  facts.flush = absl::Now() - begin;
  unlink(path.c_str());
  return facts;
}

v1::Checkup JudgeFolder(const std::string& where, const absl::StatusOr<FolderFacts>& facts,
                        int64_t needed_bytes, const std::string& needed_for) {
  if (!facts.ok()) {
    return MakeCheckup(where, "disk", v1::CHECKUP_STATE_ERROR, MessageOf(facts.status()),
                       "make the folder, or name another one");
  }
  if (!facts->writable.ok()) {
    return MakeCheckup(where, "disk", v1::CHECKUP_STATE_ERROR, MessageOf(facts->writable),
                       "the folder must be writable for whom the program runs as");
  }
  const std::string found =
      absl::StrCat(BytesText(facts->free_bytes), " of ", BytesText(facts->all_bytes),
                   " free, a small file is durable in ", DurationText(facts->flush));
  if (facts->free_bytes < kFreeError) {
    return MakeCheckup(where, "disk", v1::CHECKUP_STATE_ERROR, found,
                       "make room: nothing can be written soon");
  }
  if (facts->free_bytes < needed_bytes) {
    return MakeCheckup(
        where, "disk", v1::CHECKUP_STATE_WARNING, found,
        absl::StrCat("make room: ", needed_for, " may take ", BytesText(needed_bytes)));
  }
  if (facts->free_bytes < std::min(kFreeWarning, facts->all_bytes / 10)) {
    return MakeCheckup(where, "disk", v1::CHECKUP_STATE_WARNING, found, "make room in time");
  }
  if (facts->flush > kSlowFlush) {
    return MakeCheckup(where, "disk", v1::CHECKUP_STATE_WARNING, found,
                       "every commit waits for this disk; a faster one makes all faster");
  }
  return MakeCheckup(where, "disk", v1::CHECKUP_STATE_OK, found);
}

std::string BytesText(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1000 && unit < 4) {
    value /= 1024;
    ++unit;
  }
  const int decimals = value < 10 && unit > 0 ? 1 : 0;
  return absl::StrFormat("%.*f %s", decimals, value, units[unit]);
}

}  // namespace retort
