#include "server/rpc/diagnose.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "server/access/certificates.h"

namespace retort {
namespace {

constexpr char kWhere[] = "coordinator";
// A connection for each worker and client, and the coordinator's own files.
constexpr int64_t kDescriptors = 4096;
// It is copied to the database every 16 MB; one that grows is read by somebody who does not end.
constexpr int64_t kLargeLog = int64_t{1} << 30;
constexpr absl::Duration kCertificateSoon = absl::Hours(24 * 14);
constexpr size_t kMostNamed = 5;

int64_t SizeOf(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

void AddSecrets(const std::string& access_folder, CoordinatorFacts& facts) {
  struct stat info {};
  if (stat(access_folder.c_str(), &info) == 0) facts.secrets.push_back({"access", info.st_mode});
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(access_folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool is_public = name.ends_with(".pem");
    if (is_public || stat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    facts.secrets.push_back({"access/" + name, info.st_mode});
  }
  std::sort(facts.secrets.begin(), facts.secrets.end());
}

absl::StatusOr<std::vector<CoordinatorFacts::Worker>> WorkersOf(Coordinator& coordinator) {
  auto workers = std::make_shared<std::vector<CoordinatorFacts::Worker>>();
  auto answered = std::make_shared<std::promise<absl::Status>>();
  coordinator.Inspect(
      [workers](const core::State& state) {
        workers->clear();
        for (int64_t key = 1; key <= state.workers(); ++key) {
          const core::WorkerRow& row = state.worker(core::WorkerKey{key}).row;
          workers->push_back({.name = row.name,
                              .version = row.version,
                              .reason = row.reason,
                              .quarantined = row.state == core::WorkerState::kQuarantined,
                              .draining = row.state == core::WorkerState::kDraining,
                              .away = row.away});
        }
      },
      [answered](const absl::StatusOr<Answer>& answer) { answered->set_value(answer.status()); });
  const absl::Status status = answered->get_future().get();
  if (!status.ok()) return status;
  return *std::move(workers);
}

// `a, b, c and 4 more`.
std::string Names(const std::vector<std::string>& names) {
  const size_t named = std::min(names.size(), kMostNamed);
  std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<int>(named), ", ");
  if (named < names.size()) absl::StrAppend(&text, " and ", names.size() - named, " more");
  return text;
}

v1::Checkup JudgeDatabase(const CoordinatorFacts& facts) {
  const std::string found =
      absl::StrCat(BytesText(facts.database_bytes), " and a log of ", BytesText(facts.log_bytes));
  if (facts.log_bytes < kLargeLog) {
    return MakeCheckup(kWhere, "database", v1::CHECKUP_STATE_OK, found);
  }
  return MakeCheckup(kWhere, "database", v1::CHECKUP_STATE_WARNING, found,
                     "something reads without end, or the disk is far too slow");
}

v1::Checkup JudgeSecurity(const CoordinatorFacts& facts) {
  if (!facts.asks_for_tokens) {
    return MakeCheckup(kWhere, "security", v1::CHECKUP_STATE_WARNING,
                       "neither encrypted nor authenticated (--insecure)",
                       "whoever reaches the address may do everything: start it without");
  }
  return MakeCheckup(kWhere, "security", v1::CHECKUP_STATE_OK,
                     facts.encrypts ? "tokens and TLS" : "tokens, in clear on this machine alone");
}

v1::Checkup JudgeSecrets(const CoordinatorFacts& facts) {
  std::optional<v1::Checkup> first;
  int open = 0;
  for (const auto& [name, mode] : facts.secrets) {
    v1::Checkup checkup = JudgeSecret(kWhere, name, mode);
    if (checkup.state() == v1::CHECKUP_STATE_OK) continue;
    if (++open == 1) first = std::move(checkup);
  }
  if (!first) {
    return MakeCheckup(kWhere, "permissions", v1::CHECKUP_STATE_OK,
                       "all but the owner are kept out of access files and keys");
  }
  if (open > 1) absl::StrAppend(first->mutable_found(), ", and ", open - 1, " more are open");
  return *std::move(first);
}

v1::Checkup JudgeCertificate(absl::Time end, absl::Time now) {
  const std::string found =
      absl::StrCat("good until ", absl::FormatTime("%Y-%m-%d", end, absl::UTCTimeZone()));
  if (end <= now) {
    return MakeCheckup(kWhere, "certificate", v1::CHECKUP_STATE_ERROR, found,
                       "nobody can connect: renew the file of --tls-cert; where it is of the "
                       "coordinator's own making, SIGHUP");
  }
  if (end - now < kCertificateSoon) {
    return MakeCheckup(kWhere, "certificate", v1::CHECKUP_STATE_WARNING, found,
                       "renew it; it is read again without a restart");
  }
  return MakeCheckup(kWhere, "certificate", v1::CHECKUP_STATE_OK, found);
}

void JudgeWorkers(const CoordinatorFacts& facts, std::vector<v1::Checkup>& checkups) {
  std::vector<std::string> others, quarantined;
  size_t away = 0, draining = 0;
  for (const CoordinatorFacts::Worker& worker : facts.workers) {
    away += worker.away;
    if (worker.away) continue;
    draining += worker.draining;
    if (worker.quarantined) quarantined.push_back(worker.name + " (" + worker.reason + ")");
    if (worker.version != facts.version) others.push_back(worker.name + " " + worker.version);
  }
  const size_t present = facts.workers.size() - away;
  const std::string found = absl::StrCat(present, " present, ", draining, " of them draining, ",
                                         quarantined.size(), " quarantined; ", away, " away");
  if (present == 0) {
    checkups.push_back(MakeCheckup(kWhere, "workers", v1::CHECKUP_STATE_WARNING, found,
                                   "nothing runs until a worker joins: retort-worker"));
  } else if (!quarantined.empty()) {
    checkups.push_back(MakeCheckup(
        kWhere, "workers", v1::CHECKUP_STATE_WARNING, absl::StrCat(found, ": ", Names(quarantined)),
        "mend the machine (retort-worker doctor there), then: retort worker release NAME"));
  } else {
    checkups.push_back(MakeCheckup(kWhere, "workers", v1::CHECKUP_STATE_OK, found));
  }
  if (others.empty()) return;
  checkups.push_back(MakeCheckup(
      kWhere, "worker_versions", v1::CHECKUP_STATE_WARNING,
      absl::StrCat("the coordinator is ", facts.version, "; other workers: ", Names(others)),
      "run one version everywhere: their results may differ"));
}

}  // namespace

absl::StatusOr<CoordinatorFacts> LookAfter(Coordinator& coordinator, const std::string& folder,
                                           const AccessFolder* access) {
  CoordinatorFacts facts;
  facts.version = RETORT_VERSION;
  facts.folder = LookAtFolder(folder);
  facts.database_bytes = SizeOf(folder + "/retort.db");
  facts.log_bytes = SizeOf(folder + "/retort.db-wal");
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  facts.descriptors = static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, rlim_t{1} << 40));
  facts.asks_for_tokens = access != nullptr;
  if (access != nullptr) {
    AddSecrets(access->path(), facts);
    const std::string& certificate = access->tls_files().certificate;
    facts.encrypts = !certificate.empty();
    struct stat key {};
    if (facts.encrypts && stat(access->tls_files().key.c_str(), &key) == 0) {
      facts.secrets.push_back({"the key of the certificate", key.st_mode});
    }
    const auto bytes = facts.encrypts ? ReadFile(certificate) : "";
    const auto end = bytes.ok() ? EndOf(*bytes) : bytes.status();
    if (end.ok()) facts.certificate_end = *end;
  }
  auto workers = WorkersOf(coordinator);
  if (!workers.ok()) return workers.status();
  facts.workers = *std::move(workers);
  return facts;
}

std::vector<v1::Checkup> Judge(const CoordinatorFacts& facts, absl::Time now) {
  std::vector<v1::Checkup> checkups;
  checkups.push_back(MakeCheckup(kWhere, "version", v1::CHECKUP_STATE_OK, facts.version));
  checkups.push_back(JudgeFolder(kWhere, facts.folder, 0, ""));
  checkups.push_back(JudgeDatabase(facts));
  checkups.push_back(JudgeDescriptors(kWhere, facts.descriptors, kDescriptors));
  checkups.push_back(JudgeSecurity(facts));
  if (facts.asks_for_tokens) checkups.push_back(JudgeSecrets(facts));
  if (facts.certificate_end) {
    checkups.push_back(JudgeCertificate(*facts.certificate_end, now));
  }
  JudgeWorkers(facts, checkups);
  return checkups;
}

}  // namespace retort
