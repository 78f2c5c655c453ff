// What an HTTP client gets.
#include "server/metrics/endpoint.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace retort {
namespace {

std::string Get(int port, const std::string& path) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  if (write(fd.get(), request.data(), request.size()) < 0) return "";
  std::string all;
  char bytes[4096];
  for (ssize_t n; (n = read(fd.get(), bytes, sizeof bytes)) > 0;) {
    all.append(bytes, static_cast<size_t>(n));
  }
  return all;
}

TEST(EndpointTest, AnswersWithReadingsOfTheMoment) {
  int asked = 0;
  const auto endpoint = MetricsEndpoint::Start(
      "127.0.0.1:0", std::make_shared<prometheus::Registry>(),
      {{"retort_asked", "How often.", false, [&asked] {
          return std::vector<Reading::Value>{{"by", "us", static_cast<double>(++asked)}};
        }}});
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();
  EXPECT_THAT(Get((*endpoint)->port(), "/metrics"),
              testing::HasSubstr("# TYPE retort_asked gauge\nretort_asked{by=\"us\"} 1\n"));
  EXPECT_THAT(Get((*endpoint)->port(), "/metrics"), testing::HasSubstr("{by=\"us\"} 2\n"));
}

TEST(EndpointTest, AnAddressThatIsTakenIsTold) {
  const auto first =
      MetricsEndpoint::Start("127.0.0.1:0", std::make_shared<prometheus::Registry>(), {});
  const std::string address = absl::StrCat("127.0.0.1:", (*first)->port());
  const auto second = MetricsEndpoint::Start(address, std::make_shared<prometheus::Registry>(), {});
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr(address));
}

}  // namespace
}  // namespace retort
