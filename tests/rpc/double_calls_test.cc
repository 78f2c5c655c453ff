// Every mutating call has the effect of one, however often it is made: twice at once, again, and
// again after the coordinator was started anew.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/access/link.h"
#include "common/files.h"
#include "common/hash.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

// Calls that change nothing: a new call stands here or has a case below.
const std::set<std::string> kReads = {
    "SweepService.GetSweep",        "SweepService.ListSweeps", "SweepService.WatchSweep",
    "SweepService.ListJobs",        "SweepService.GetJob",     "SweepService.ExplainJob",
    "SweepService.ReadMetrics",     "SweepService.TailLogs",   "SweepService.ListWorkers",
    "SweepService.Query",           "ArtifactService.Missing", "ArtifactService.Download",
    "ArtifactService.UploadStatus", "AdminService.Check",      "AdminService.ListTokens",
    "AdminService.GetServerInfo",   "AdminService.Diagnose",
};

// Each has a case.
const std::vector<std::string> kMutations = {
    "SweepService.CreateSweep",       "SweepService.PauseSweep",     "SweepService.ResumeSweep",
    "SweepService.CancelSweep",       "SweepService.RetryJobs",      "SweepService.CancelJobs",
    "SweepService.DrainWorker",       "SweepService.ReleaseWorker",  "WorkerService.Sync",
    "WorkerService.Sync with leases", "WorkerService.StreamMetrics", "WorkerService.StreamLogs",
    "ArtifactService.Upload",         "AdminService.Backup",         "AdminService.CollectGarbage",
    "AdminService.CreateToken",       "AdminService.RevokeToken",
};

// One mutating call. All parts run in order of declaration.
struct Case {
  std::function<void()> prepare = [] {};
  // The same call each time; what of its answer must be the same each time.
  std::function<absl::StatusOr<std::string>()> call;
  // After the first: somebody undoes, by another request, what it did. A repeat must not do it
  // again.
  std::function<void()> undo = [] {};
  // What the call has left behind, after `undo`.
  std::function<std::string()> effect;
  std::string expected_effect;
  // The same request id with other arguments; unset where a call has no request id.
  std::function<absl::Status()> other_arguments = nullptr;
};

std::string HexOf(const std::string& bytes) { return ArtifactHash(Sha256Of(bytes)).hex(); }

class DoubleCallsTest : public RpcTest {
 protected:
  // A call that was refused because its twin is under way is asked again, as clients do.
  static absl::StatusOr<std::string> Patiently(const Case& test) {
    for (int i = 0;; ++i) {
      auto answer = test.call();
      const bool again =
          absl::IsUnavailable(answer.status()) || absl::IsResourceExhausted(answer.status());
      if (!again || i == 1000) return answer;  // 20 s: a backup on a busy disk
      absl::SleepFor(absl::Milliseconds(20));
    }
  }

  void Check(const std::string& name, const Case& test) {
    SCOPED_TRACE(name);
    test.prepare();
    auto other = std::async(std::launch::async, [&] { return Patiently(test); });
    const auto first = Patiently(test);
    const auto twin = other.get();
    ASSERT_TRUE(first.ok()) << first.status();
    ASSERT_TRUE(twin.ok()) << twin.status();
    EXPECT_EQ(*first, *twin) << "two at once";
    test.undo();
    EXPECT_EQ(test.effect(), test.expected_effect);
    const auto again = Patiently(test);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(*again, *first);
    EXPECT_EQ(test.effect(), test.expected_effect) << "after a repeat";
    if (test.other_arguments) {
      EXPECT_EQ(test.other_arguments().code(), absl::StatusCode::kAlreadyExists);
    }
    Stop();
    Start();
    const auto later = Patiently(test);
    ASSERT_TRUE(later.ok()) << later.status();
    EXPECT_EQ(*later, *first) << "after a restart";
    EXPECT_EQ(test.effect(), test.expected_effect) << "after a restart";
    if (test.other_arguments) {
      EXPECT_EQ(test.other_arguments().code(), absl::StatusCode::kAlreadyExists)
          << "after a restart";
    }
  }

  // ------------------------------------------------------------------------------ shorthands

  using ChangeMethod = grpc::Status (v1::SweepService::Stub::*)(grpc::ClientContext*,
                                                                const v1::ChangeSweepRequest&,
                                                                v1::Sweep*);
  absl::StatusOr<std::string> ChangeSweep(ChangeMethod method, const std::string& id,
                                          const std::string& name) {
    grpc::ClientContext context;
    v1::ChangeSweepRequest request;
    request.set_request_id(id);
    request.set_name(name);
    v1::Sweep response;
    const grpc::Status status = (sweeps_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response.name();
  }
  using WorkerMethod = grpc::Status (v1::SweepService::Stub::*)(grpc::ClientContext*,
                                                                const v1::ChangeWorkerRequest&,
                                                                v1::Worker*);
  absl::StatusOr<std::string> ChangeWorker(WorkerMethod method, const std::string& id,
                                           const std::string& name) {
    grpc::ClientContext context;
    v1::ChangeWorkerRequest request;
    request.set_request_id(id);
    request.set_name(name);
    v1::Worker response;
    const grpc::Status status = (sweeps_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response.name();
  }
  using JobsMethod = grpc::Status (v1::SweepService::Stub::*)(grpc::ClientContext*,
                                                              const v1::ChangeJobsRequest&,
                                                              v1::ChangeJobsResponse*);
  absl::StatusOr<std::string> ChangeJobs(JobsMethod method, const std::string& id,
                                         v1::JobState state) {
    grpc::ClientContext context;
    v1::ChangeJobsRequest request;
    request.set_request_id(id);
    request.set_sweep("sweeps/one");
    request.add_states(state);
    v1::ChangeJobsResponse response;
    const grpc::Status status = (sweeps_.get()->*method)(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return absl::StrCat(response.changed());
  }
  std::string StateOfSweep(const std::string& name) {
    return v1::SweepState_Name(GetSweep(name).state());
  }
  // What the worker `w1` hears; a list would say that it is away as soon as it is silent for long.
  std::string StateOfWorker() {
    FakeWorker worker(*workers_, "w1");
    worker.request.set_number(number_ += 10);
    const auto answer = worker.Sync(0);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() && answer->drain() ? "draining" : "active";
  }
  std::string StatesOfJobs(const std::string& sweep) {
    std::map<std::string, int> counts;
    for (const v1::Job& job : Jobs(sweep)) ++counts[v1::JobState_Name(job.state())];
    return absl::StrJoin(counts, ",", absl::PairFormatter("="));
  }
  // One job of the sweep `one`, leased to the worker `w1` and running.
  void RunOne() {
    ASSERT_TRUE(Create(ScratchSweep("one")).ok());
    worker_ = std::make_unique<FakeWorker>(*workers_, "w1");
    auto lease = worker_->TakeLease();
    ASSERT_TRUE(lease.ok()) << lease.status();
    id_ = lease->id();
    worker_->Run(id_);
    ASSERT_TRUE(worker_->Sync(0).ok());
  }
  void FailOne() {
    auto lease = worker_->TakeLease();
    ASSERT_TRUE(lease.ok()) << lease.status();
    id_ = lease->id();
    worker_->FailWith(id_, v1::FAILURE_CAUSE_NUMERIC, "NaN");
    ASSERT_TRUE(worker_->Sync(0).ok());
    worker_->Forget();
  }
  // A Sync exactly as it is, whoever sends it.
  absl::StatusOr<v1::SyncResponse> SendSync(const v1::SyncRequest& request) {
    grpc::ClientContext context;
    v1::SyncResponse response;
    const grpc::Status status = workers_->Sync(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }
  absl::StatusOr<std::string> MakeBackup(const std::string& id, const std::string& folder) {
    grpc::ClientContext context;
    v1::BackupRequest request;
    request.set_request_id(id);
    request.set_folder(folder);
    auto stream = admin_->Backup(&context, request);
    v1::BackupResponse message, last;
    while (stream->Read(&message)) last = message;
    const grpc::Status status = stream->Finish();
    if (!status.ok()) return FromGrpc(status);
    return last.report().ShortDebugString();
  }
  absl::StatusOr<std::string> CollectGarbage(const std::string& id, bool dry_run) {
    grpc::ClientContext context;
    v1::CollectGarbageRequest request;
    request.set_request_id(id);
    request.set_dry_run(dry_run);
    v1::CollectGarbageResponse response;
    const grpc::Status status = admin_->CollectGarbage(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return absl::StrCat("taken ", response.taken());
  }
  bool IsHeld(const std::string& sha256) {
    grpc::ClientContext context;
    v1::MissingRequest request;
    request.add_sha256(sha256);
    v1::MissingResponse response;
    EXPECT_TRUE(uploads_->Missing(&context, request, &response).ok());
    return response.sha256().empty();
  }

  std::map<std::string, Case> Cases();
  void AddSweepCases(std::map<std::string, Case>& cases);
  void AddJobCases(std::map<std::string, Case>& cases);
  void AddWorkerCases(std::map<std::string, Case>& cases);
  void AddArtifactCases(std::map<std::string, Case>& cases);
  void AddTokenCases(std::map<std::string, Case>& cases);

  const std::string id1_ = NewUuid();
  const std::string id2_ = NewUuid();
  std::unique_ptr<FakeWorker> worker_;
  v1::AttemptId id_;
  v1::SweepSpec spec_;
  v1::SyncRequest sync_;
  std::string hash_;
  int64_t number_ = 0;
};

void DoubleCallsTest::AddSweepCases(std::map<std::string, Case>& cases) {
  using Stub = v1::SweepService::Stub;
  const auto create = [this](const v1::SweepSpec& spec) -> absl::StatusOr<std::string> {
    const auto created = Create(spec, id1_);
    if (!created.ok()) return created.status();
    return absl::StrCat(created->sweep().name(), " ", created->jobs(), " ", created->known_jobs());
  };
  cases["SweepService.CreateSweep"] = {
      .prepare = [this] { spec_ = ScratchSweep("one", 3); },
      .call = [this, create] { return create(spec_); },
      .effect =
          [this] {
            grpc::ClientContext context;
            v1::ListSweepsResponse list;
            EXPECT_TRUE(sweeps_->ListSweeps(&context, {}, &list).ok());
            return absl::StrCat(list.sweeps_size(), " sweeps, ", Jobs("").size(), " jobs");
          },
      .expected_effect = "1 sweeps, 3 jobs",
      .other_arguments =
          [this, create] {
            v1::SweepSpec other = spec_;
            other.mutable_train()->set_epochs(4);
            return create(other).status();
          },
  };
  const auto change = [&](const std::string& name, ChangeMethod method, ChangeMethod before,
                          ChangeMethod undo, const std::string& expected) {
    cases["SweepService." + name] = {
        .prepare =
            [this, before] {
              ASSERT_TRUE(Create(ScratchSweep("one")).ok());
              ASSERT_TRUE(Create(ScratchSweep("two")).ok());
              if (before != nullptr) {
                ASSERT_TRUE(ChangeSweep(before, NewUuid(), "sweeps/one").ok());
              }
            },
        .call = [this, method] { return ChangeSweep(method, id1_, "sweeps/one"); },
        .undo =
            [this, undo] {
              if (undo != nullptr) {
                ASSERT_TRUE(ChangeSweep(undo, NewUuid(), "sweeps/one").ok());
              }
            },
        .effect = [this] { return StateOfSweep("sweeps/one") + StateOfSweep("sweeps/two"); },
        .expected_effect = expected + "SWEEP_STATE_ACTIVE",
        .other_arguments = [this,
                            method] { return ChangeSweep(method, id1_, "sweeps/two").status(); },
    };
  };
  change("PauseSweep", &Stub::PauseSweep, nullptr, &Stub::ResumeSweep, "SWEEP_STATE_ACTIVE");
  change("ResumeSweep", &Stub::ResumeSweep, &Stub::PauseSweep, &Stub::PauseSweep,
         "SWEEP_STATE_PAUSED");
  change("CancelSweep", &Stub::CancelSweep, nullptr, nullptr, "SWEEP_STATE_CANCELLED");
}

void DoubleCallsTest::AddJobCases(std::map<std::string, Case>& cases) {
  using Stub = v1::SweepService::Stub;
  cases["SweepService.RetryJobs"] = {
      .prepare =
          [this] {
            ASSERT_TRUE(Create(ScratchSweep("one")).ok());
            worker_ = std::make_unique<FakeWorker>(*workers_, "w1");
            FailOne();
          },
      .call = [this] { return ChangeJobs(&Stub::RetryJobs, id1_, v1::JOB_STATE_FAILED); },
      .undo = [this] { FailOne(); },
      .effect =
          [this] {
            return absl::StrCat(StatesOfJobs("sweeps/one"), " attempt ",
                                GetJob("jobs/" + id_.job()).attempt());
          },
      .expected_effect = "JOB_STATE_FAILED=1 attempt 2",
      .other_arguments =
          [this] { return ChangeJobs(&Stub::RetryJobs, id1_, v1::JOB_STATE_SKIPPED).status(); },
  };
  cases["SweepService.CancelJobs"] = {
      .prepare = [this] { ASSERT_TRUE(Create(ScratchSweep("one", 2)).ok()); },
      .call = [this] { return ChangeJobs(&Stub::CancelJobs, id1_, v1::JOB_STATE_QUEUED); },
      // Whoever submits it again wants its jobs again.
      .undo = [this] { ASSERT_TRUE(Create(ScratchSweep("again", 1)).ok()); },
      .effect = [this] { return StatesOfJobs("sweeps/one"); },
      .expected_effect = "JOB_STATE_CANCELLED=1,JOB_STATE_QUEUED=1",
      .other_arguments =
          [this] { return ChangeJobs(&Stub::CancelJobs, id1_, v1::JOB_STATE_RUNNING).status(); },
  };
  const auto change = [&](const std::string& name, WorkerMethod method, WorkerMethod undo,
                          bool drained, const std::string& expected) {
    cases["SweepService." + name] = {
        .prepare =
            [this, drained] {
              FakeWorker worker(*workers_, "w1");
              ASSERT_TRUE(worker.Sync(0).ok());
              if (drained) {
                ASSERT_TRUE(ChangeWorker(&Stub::DrainWorker, NewUuid(), "workers/w1").ok());
              }
            },
        .call = [this, method] { return ChangeWorker(method, id1_, "workers/w1"); },
        .undo = [this, undo] { ASSERT_TRUE(ChangeWorker(undo, NewUuid(), "workers/w1").ok()); },
        .effect = [this] { return StateOfWorker(); },
        .expected_effect = expected,
        .other_arguments = [this,
                            method] { return ChangeWorker(method, id1_, "workers/w2").status(); },
    };
  };
  change("DrainWorker", &Stub::DrainWorker, &Stub::ReleaseWorker, false, "active");
  change("ReleaseWorker", &Stub::ReleaseWorker, &Stub::DrainWorker, true, "draining");
}

void DoubleCallsTest::AddWorkerCases(std::map<std::string, Case>& cases) {
  // With a result here; that a lease is given once is another case below.
  cases["WorkerService.Sync"] = {
      .prepare =
          [this] {
            RunOne();
            worker_->Succeed(id_, Upload("weights"), 0);
            sync_ = worker_->request;
            sync_.set_number(sync_.number() + 1);
          },
      .call = [this]() -> absl::StatusOr<std::string> {
        const auto answer = SendSync(sync_);
        if (!answer.ok()) return answer.status();
        return answer->acknowledged_size() == 1 ? answer->acknowledged(0).job() : "nothing";
      },
      .effect =
          [this] {
            const v1::Job job = GetJob("jobs/" + id_.job());
            return absl::StrCat(v1::JobState_Name(job.state()), " ", job.attempts_size());
          },
      .expected_effect = "JOB_STATE_SUCCEEDED 1",
  };
  cases["WorkerService.Sync with leases"] = {
      .prepare =
          [this] {
            ASSERT_TRUE(Create(ScratchSweep("one", 5)).ok());
            sync_.set_worker("w1");
            sync_.set_incarnation(1);
            sync_.set_number(1);
            sync_.set_wanted(2);
            for (int i = 0; i < 2; ++i) {
              sync_.add_slots()->set_device("cpu");
              sync_.mutable_slots(i)->set_index(i);
            }
          },
      .call = [this]() -> absl::StatusOr<std::string> {
        const auto answer = SendSync(sync_);
        if (!answer.ok()) return answer.status();
        std::set<std::string> leases;
        for (const v1::Lease& lease : answer->leases()) {
          leases.insert(absl::StrCat(lease.id().job(), "/", lease.id().attempt()));
        }
        return absl::StrJoin(leases, " ");
      },
      .effect = [this] { return StatesOfJobs("sweeps/one"); },
      .expected_effect = "JOB_STATE_LEASED=2,JOB_STATE_QUEUED=3",
  };
  cases["WorkerService.StreamMetrics"] = {
      .prepare = [this] { RunOne(); },
      .call = [this]() -> absl::StatusOr<std::string> {
        FakeWorker worker(*workers_, "w1");
        const auto ack = worker.SendMetrics(id_, 0, 4);
        if (!ack.ok()) return ack.status();
        return absl::StrCat(ack->durable_seq(), ack->refused());
      },
      .effect =
          [this] {
            grpc::ClientContext context;
            v1::ReadMetricsRequest request;
            request.set_job("jobs/" + id_.job());
            v1::ReadMetricsResponse response;
            EXPECT_TRUE(sweeps_->ReadMetrics(&context, request, &response).ok());
            return absl::StrCat(response.points_size());
          },
      .expected_effect = "4",
  };
  cases["WorkerService.StreamLogs"] = {
      .prepare = [this] { RunOne(); },
      .call = [this]() -> absl::StatusOr<std::string> {
        FakeWorker worker(*workers_, "w1");
        const auto ack = worker.SendLog(id_, 0, "hello");
        if (!ack.ok()) return ack.status();
        return absl::StrCat(ack->stored_offset(), ack->full());
      },
      .effect =
          [this] {
            grpc::ClientContext context;
            v1::TailLogsRequest request;
            request.set_job("jobs/" + id_.job());
            auto stream = sweeps_->TailLogs(&context, request);
            std::string all;
            v1::TailLogsResponse piece;
            while (stream->Read(&piece)) all += piece.data();
            EXPECT_TRUE(stream->Finish().ok());
            return all;
          },
      .expected_effect = "hello",
  };
}

void DoubleCallsTest::AddArtifactCases(std::map<std::string, Case>& cases) {
  cases["ArtifactService.Upload"] = {
      .call = [this]() -> absl::StatusOr<std::string> { return Upload("some bytes"); },
      .effect =
          [this] {
            int files = 0;
            for (const auto& entry :
                 std::filesystem::recursive_directory_iterator(folder_ + "/artifacts")) {
              files += entry.is_regular_file() ? 1 : 0;
            }
            const std::string hex = HexOf("some bytes");
            return absl::StrCat(files, IsHeld(hex) ? " held" : " missing");
          },
      .expected_effect = "1 held",
  };
  cases["AdminService.Backup"] = {
      .prepare = [this] { ASSERT_TRUE(Create(ScratchSweep("one")).ok()); },
      .call = [this] { return MakeBackup(id1_, folder_ + "-backup"); },
      .effect =
          [this] {
            return absl::StrCat(std::filesystem::exists(folder_ + "-backup"),
                                std::filesystem::exists(folder_ + "-other"));
          },
      .expected_effect = "10",
      .other_arguments = [this] { return MakeBackup(id1_, folder_ + "-other").status(); },
  };
  // The clock of upkeep is ahead: what is uploaded here is pinned no more.
  cases["AdminService.CollectGarbage"] = {
      .prepare = [this] { Upload("rubbish"); },
      .call = [this] { return CollectGarbage(id1_, false); },
      .undo = [this] { hash_ = Upload("more rubbish"); },
      .effect =
          [this] {
            const bool first = std::filesystem::exists(absl::StrCat(
                folder_, "/artifacts/", HexOf("rubbish").substr(0, 2), "/", HexOf("rubbish")));
            const bool second = std::filesystem::exists(
                absl::StrCat(folder_, "/artifacts/", hash_.substr(0, 2), "/", hash_));
            return absl::StrCat(first, second);
          },
      .expected_effect = "01",
      .other_arguments = [this] { return CollectGarbage(id1_, true).status(); },
  };
}

// By a coordinator that asks for tokens; `admin` makes the calls.
void DoubleCallsTest::AddTokenCases(std::map<std::string, Case>& cases) {
  const auto ask_for_tokens = [this] {
    Stop();
    security_.emplace();
    Start();
  };
  const auto admin = [this] {
    return v1::AdminService::NewStub(
        OpenChannel(*ReadAccessFile(folder_ + "/access/admin.access"), 0));
  };
  const auto create = [this, admin](v1::Role role) -> absl::StatusOr<std::string> {
    grpc::ClientContext context;
    v1::CreateTokenRequest request;
    request.set_request_id(id1_);
    request.set_role(role);
    v1::CreateTokenResponse response;
    const grpc::Status status = admin()->CreateToken(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    // The file also says the address, which a restart here changes.
    return response.token().SerializeAsString() + ParseAccess(response.access_file())->token;
  };
  const auto revoke = [this, admin](const std::string& id) -> absl::StatusOr<std::string> {
    grpc::ClientContext context;
    v1::RevokeTokenRequest request;
    request.set_request_id(id2_);
    request.set_id(id);
    v1::Token token;
    const grpc::Status status = admin()->RevokeToken(&context, request, &token);
    if (!status.ok()) return FromGrpc(status);
    return token.SerializeAsString();
  };
  // Of viewers: all, and those that are revoked.
  const auto viewers = [admin] {
    grpc::ClientContext context;
    v1::ListTokensResponse response;
    EXPECT_TRUE(admin()->ListTokens(&context, {}, &response).ok());
    int all = 0, revoked = 0;
    for (const v1::Token& token : response.tokens()) {
      all += token.role() == v1::ROLE_VIEWER ? 1 : 0;
      revoked += token.revoked_ms() > 0 ? 1 : 0;
    }
    return absl::StrCat(all, " ", revoked);
  };
  const auto made_id = [create] {
    v1::Token token;
    const std::string text = *create(v1::ROLE_VIEWER);
    EXPECT_TRUE(token.ParseFromString(text.substr(0, text.find("rt_"))));
    return token.id();
  };
  cases["AdminService.CreateToken"] = {
      .prepare = ask_for_tokens,
      .call = [create] { return create(v1::ROLE_VIEWER); },
      .effect = viewers,
      .expected_effect = "2 0",
      .other_arguments = [create] { return create(v1::ROLE_ADMIN).status(); },
  };
  cases["AdminService.RevokeToken"] = {
      .prepare = ask_for_tokens,
      .call = [revoke, made_id] { return revoke(made_id()); },
      .effect = viewers,
      .expected_effect = "2 1",
  };
}

std::map<std::string, Case> DoubleCallsTest::Cases() {
  std::map<std::string, Case> cases;
  AddTokenCases(cases);
  AddSweepCases(cases);
  AddJobCases(cases);
  AddWorkerCases(cases);
  AddArtifactCases(cases);
  return cases;
}

TEST_F(DoubleCallsTest, EveryMutationHasACase) {
  const std::map<std::string, Case> cases = Cases();
  EXPECT_EQ(cases.size(), kMutations.size());
  for (const std::string& name : kMutations) EXPECT_TRUE(cases.contains(name)) << name;
  for (const auto* message : {v1::CreateSweepRequest::descriptor(), v1::SyncRequest::descriptor(),
                              v1::UploadRequest::descriptor(), v1::BackupRequest::descriptor()}) {
    const google::protobuf::FileDescriptor& file = *message->file();
    ASSERT_EQ(file.service_count(), 1);
    const google::protobuf::ServiceDescriptor& service = *file.service(0);
    for (int i = 0; i < service.method_count(); ++i) {
      const std::string name = service.name() + "." + service.method(i)->name();
      EXPECT_EQ(cases.count(name) + kReads.count(name), 1u)
          << name << " needs a case here, or stands among the calls that change nothing";
    }
  }
}

// Each has a coordinator of its own.
class DoubleCallTest : public DoubleCallsTest, public testing::WithParamInterface<std::string> {};

TEST_P(DoubleCallTest, HasTheEffectOfOne) {
  const std::map<std::string, Case> cases = Cases();
  ASSERT_TRUE(cases.contains(GetParam()));
  Check(GetParam(), cases.at(GetParam()));
  std::filesystem::remove_all(folder_ + "-backup");
}

INSTANTIATE_TEST_SUITE_P(All, DoubleCallTest, testing::ValuesIn(kMutations),
                         [](const testing::TestParamInfo<std::string>& info) {
                           std::string name;
                           for (const char c : info.param) {
                             if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
                           }
                           return name;
                         });

}  // namespace
}  // namespace retort
