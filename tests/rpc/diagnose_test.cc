// What a coordinator finds when it looks after itself.
#include "server/rpc/diagnose.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <map>

#include "common/access/checkups.h"
#include "common/access/link.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::HasSubstr;

std::map<std::string, v1::Checkup> ByWhat(const std::vector<v1::Checkup>& checkups) {
  std::map<std::string, v1::Checkup> found;
  for (const v1::Checkup& checkup : checkups) found[checkup.what()] = checkup;
  return found;
}

CoordinatorFacts Good() {
  CoordinatorFacts facts;
  facts.version = "0.1.0";
  facts.folder = FolderFacts{.writable = absl::OkStatus(),
                             .flush = absl::Milliseconds(1),
                             .free_bytes = int64_t{50} << 30,
                             .all_bytes = int64_t{100} << 30};
  facts.descriptors = 1 << 20;
  facts.asks_for_tokens = true;
  facts.encrypts = true;
  facts.certificate_end = absl::FromUnixSeconds(1'800'000'000);
  facts.workers = {{.name = "w1", .version = "0.1.0"}};
  return facts;
}
const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(DiagnoseTest, AllIsWellOnAGoodMachine) {
  for (const v1::Checkup& checkup : Judge(Good(), kNow)) {
    EXPECT_EQ(checkup.state(), v1::CHECKUP_STATE_OK) << checkup.ShortDebugString();
    EXPECT_EQ(checkup.advice(), "");
  }
}

TEST(DiagnoseTest, SaysWhatIsWrong) {
  CoordinatorFacts facts = Good();
  facts.certificate_end = kNow - absl::Hours(1);
  facts.asks_for_tokens = false;
  facts.log_bytes = int64_t{3} << 30;
  facts.workers = {
      {.name = "w1", .version = "0.0.9"},
      {.name = "w2", .version = "0.1.0", .reason = "5 jobs failed here", .quarantined = true},
      {.name = "w3", .version = "0.0.1", .away = true}};
  const auto found = ByWhat(Judge(facts, kNow));
  EXPECT_EQ(found.at("certificate").state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_EQ(found.at("security").state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(found.at("database").state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_THAT(found.at("workers").found(), HasSubstr("w2 (5 jobs failed here)"));
  EXPECT_THAT(found.at("workers").found(), HasSubstr("2 present"));
  EXPECT_THAT(found.at("worker_versions").found(), HasSubstr("w1 0.0.9"));
  EXPECT_THAT(found.at("worker_versions").found(), testing::Not(HasSubstr("w3")));
  facts.certificate_end = kNow + absl::Hours(24 * 3);
  EXPECT_EQ(ByWhat(Judge(facts, kNow)).at("certificate").state(), v1::CHECKUP_STATE_WARNING);
  facts.workers.clear();
  EXPECT_THAT(ByWhat(Judge(facts, kNow)).at("workers").advice(), HasSubstr("retort-worker"));
}

class DiagnoseRpcTest : public RpcTest {
 protected:
  void SetUp() override {
    security_.emplace();
    RpcTest::SetUp();
  }
  std::string PathOf(const std::string& role) const {
    return absl::StrCat(folder_, "/access/", role, ".access");
  }
  absl::StatusOr<v1::DiagnoseResponse> Diagnose(const std::string& role) {
    auto stub = v1::AdminService::NewStub(OpenChannel(*ReadAccessFile(PathOf(role)), 0));
    grpc::ClientContext context;
    v1::DiagnoseResponse response;
    const grpc::Status status = stub->Diagnose(&context, {}, &response);
    if (!status.ok()) {
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
    }
    return response;
  }
};

TEST_F(DiagnoseRpcTest, LooksAtTheRealFolder) {
  auto response = Diagnose("viewer");
  ASSERT_TRUE(response.ok()) << response.status();
  auto found = ByWhat({response->checkups().begin(), response->checkups().end()});
  EXPECT_EQ(found.at("version").found(), RETORT_VERSION);
  EXPECT_EQ(found.at("permissions").state(), v1::CHECKUP_STATE_OK);
  EXPECT_THAT(found.at("disk").found(), HasSubstr(" free"));
  EXPECT_EQ(found.at("workers").state(), v1::CHECKUP_STATE_WARNING) << "there are none";
  ASSERT_EQ(chmod(PathOf("admin").c_str(), 0644), 0);
  response = Diagnose("viewer");
  found = ByWhat({response->checkups().begin(), response->checkups().end()});
  EXPECT_EQ(found.at("permissions").state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_EQ(found.at("permissions").found(), "access/admin.access has mode 0644");
}

TEST_F(DiagnoseRpcTest, AWorkersTokenLearnsTheTimeAndNoMore) {
  EXPECT_EQ(Diagnose("worker").status().code(), absl::StatusCode::kPermissionDenied);
  const WayCheckups way = CheckWay(
      "worker", {.access = *ReadAccessFile(PathOf("worker")), .path = PathOf("worker")}, "0.0.1");
  EXPECT_TRUE(way.reached);
  const auto found = ByWhat(way.checkups);
  EXPECT_EQ(found.at("clock").state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(found.at("version").state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(found.at("address").state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(found.at("permissions").state(), v1::CHECKUP_STATE_OK);
}

TEST_F(DiagnoseRpcTest, AWayThatIsShutIsSaidAndWhere) {
  Access access = *ReadAccessFile(PathOf("viewer"));
  access.token = "rt_wrong";
  WayCheckups way = CheckWay("client", {.access = access}, RETORT_VERSION);
  EXPECT_FALSE(way.reached);
  EXPECT_THAT(ByWhat(way.checkups).at("coordinator").advice(), HasSubstr("new access file"));
  Stop();
  way = CheckWay("client", {.access = access}, RETORT_VERSION);
  EXPECT_FALSE(way.reached);
  EXPECT_EQ(ByWhat(way.checkups).at("address").state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_THAT(ByWhat(way.checkups).at("address").found(), HasSubstr("refused"));
  access.addresses = {"no-such-host.invalid:1"};
  EXPECT_THAT(
      ByWhat(CheckWay("client", {.access = access}, RETORT_VERSION).checkups).at("address").found(),
      HasSubstr("the name has no address"));
}

}  // namespace
}  // namespace retort
