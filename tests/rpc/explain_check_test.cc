// ExplainJob, and Check of a coordinator that serves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/files.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::HasSubstr;

class ExplainTest : public RpcTest {
 protected:
  absl::StatusOr<v1::Explanation> Explain(const std::string& name) {
    grpc::ClientContext context;
    v1::ExplainJobRequest request;
    request.set_name(name);
    v1::Explanation response;
    const grpc::Status status = sweeps_->ExplainJob(&context, request, &response);
    if (!status.ok()) return FromGrpc(status);
    return response;
  }
  v1::ReasonCode ReasonOf(const std::string& name) {
    const auto explanation = Explain(name);
    EXPECT_TRUE(explanation.ok()) << explanation.status();
    if (!explanation.ok() || explanation->reasons().empty()) return v1::REASON_CODE_UNSPECIFIED;
    return explanation->reasons(0).code();
  }
};

TEST_F(ExplainTest, FollowsAJobThroughItsLife) {
  ASSERT_TRUE(Create(SoftSweep("one")).ok());
  std::string teacher, student;
  for (const v1::Job& job : Jobs("sweeps/one")) {
    (job.teacher_job().empty() ? teacher : student) = job.name();
  }
  const auto blocked = Explain(student);
  ASSERT_TRUE(blocked.ok()) << blocked.status();
  EXPECT_EQ(blocked->job(), student);
  EXPECT_EQ(blocked->state(), v1::JOB_STATE_BLOCKED);
  ASSERT_EQ(blocked->reasons_size(), 1);
  EXPECT_EQ(blocked->reasons(0).code(), v1::REASON_CODE_TEACHER_NOT_DONE);
  EXPECT_EQ(blocked->reasons(0).related(0), teacher);
  EXPECT_GT(blocked->budgets_size(), 0);

  FakeWorker worker(*workers_, "w1");
  const auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(ReasonOf(teacher), v1::REASON_CODE_LEASED);
  worker.Run(lease->id());
  ASSERT_TRUE(worker.Sync(0).ok());
  const auto running = Explain(teacher.substr(0, 5 + 12));
  ASSERT_TRUE(running.ok()) << "by a prefix; " << running.status();
  EXPECT_EQ(running->job(), teacher);
  EXPECT_EQ(running->attempt(), 1);
  EXPECT_EQ(running->reasons(0).code(), v1::REASON_CODE_RUNNING);
  EXPECT_EQ(running->reasons(0).related(0), "workers/w1");
  worker.FailWith(lease->id(), v1::FAILURE_CAUSE_NUMERIC, "loss is NaN");
  ASSERT_TRUE(worker.Sync(0).ok());
  EXPECT_EQ(ReasonOf(teacher), v1::REASON_CODE_PERMANENT_FAILURE);
  EXPECT_EQ(ReasonOf(student), v1::REASON_CODE_TEACHER_ENDED);
}

TEST_F(ExplainTest, BadNamesAreNamed) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  const std::string good = Jobs("sweeps/one").at(0).name();
  const absl::Status unknown = Explain("jobs/" + std::string(64, '0')).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound) << unknown;
  EXPECT_THAT(unknown.ToString(), HasSubstr("jobs/" + std::string(64, '0')));
  for (const std::string& bad :
       {std::string(), std::string("jobs/"), std::string("jobs/abc"), "sweeps/" + good.substr(5),
        good.substr(5), good + "0", "jobs/" + std::string(64, 'G'), good + "/attempts/1"}) {
    const absl::Status status = Explain(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad << ": " << status;
    EXPECT_THAT(status.ToString(), HasSubstr("expected"));
  }
  EXPECT_EQ(Explain("jobs/" + std::string(100'000, 'a')).status().code(),
            absl::StatusCode::kResourceExhausted);
}

class CheckTest : public RpcTest {
 protected:
  absl::StatusOr<v1::CheckReport> Check(bool quick) {
    grpc::ClientContext context;
    v1::CheckRequest request;
    request.set_quick(quick);
    auto reader = admin_->Check(&context, request);
    v1::CheckResponse message, last;
    while (reader->Read(&message)) {
      EXPECT_FALSE(last.has_report()) << "nothing comes behind the report";
      last = message;
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return FromGrpc(status);
    EXPECT_TRUE(last.has_report());
    return last.report();
  }
};

TEST_F(CheckTest, CountsWhatIsThereAndFindsNothingWrong) {
  ASSERT_TRUE(Create(ScratchSweep("one", 3)).ok());
  Upload("nothing refers to this");
  const auto report = Check(false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->all_findings(), 0);
  EXPECT_EQ(report->sweeps(), 1);
  EXPECT_EQ(report->jobs(), 3);
  EXPECT_EQ(report->results(), 0);
  EXPECT_EQ(report->artifacts(), 1) << "the dataset";
  EXPECT_GE(report->bytes_read(), static_cast<int64_t>(DatasetBytes().size()));
  EXPECT_EQ(report->unreferenced(), 1);
}

TEST_F(CheckTest, NamesAnArtifactThatIsDamagedAndOneThatIsMissing) {
  const v1::SweepSpec spec = ScratchSweep("one");
  ASSERT_TRUE(Create(spec).ok());
  const std::string hash = spec.datasets(0).info().sha256();
  const std::string path = folder_ + "/artifacts/" + hash.substr(0, 2) + "/" + hash;
  std::string bytes = *ReadFile(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  std::filesystem::remove(path);
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  const auto quick = Check(true);
  ASSERT_TRUE(quick.ok()) << quick.status();
  EXPECT_EQ(quick->errors(), 0) << "a quick one reads no bytes";
  const auto damaged = Check(false);
  ASSERT_TRUE(damaged.ok()) << damaged.status();
  ASSERT_EQ(damaged->findings_size(), 1);
  EXPECT_EQ(damaged->errors(), 1);
  EXPECT_EQ(damaged->findings(0).code(), v1::FINDING_CODE_ARTIFACT_DAMAGED);
  EXPECT_EQ(damaged->findings(0).severity(), v1::SEVERITY_ERROR);
  EXPECT_THAT(damaged->findings(0).subject(), HasSubstr(hash));
  std::filesystem::remove(path);
  const auto missing = Check(true);
  ASSERT_TRUE(missing.ok()) << missing.status();
  ASSERT_EQ(missing->findings_size(), 1);
  EXPECT_EQ(missing->findings(0).code(), v1::FINDING_CODE_ARTIFACT_MISSING);
  EXPECT_THAT(missing->findings(0).subject(), HasSubstr(hash));
}

TEST_F(CheckTest, OfACoordinatorThatEndsIsUnavailable) {
  upkeep_->Stop();
  EXPECT_EQ(Check(false).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace retort
