#include "common/ids.h"

#include <gtest/gtest.h>

#include "common/hash.h"

namespace retort {
namespace {

TEST(Digest, ReadsBackWhatItPrints) {
  const JobId id(Sha256Of("x"));
  EXPECT_EQ(id.hex().size(), 64u);
  EXPECT_EQ(*JobId::FromHex(id.hex()), id);
  EXPECT_EQ(*JobId::FromRaw(id.raw()), id);
  EXPECT_EQ(id.short_hex(), id.hex().substr(0, 12));
}

TEST(Digest, RefusesEverythingElse) {
  const std::string good = JobId(Sha256Of("x")).hex();
  EXPECT_FALSE(JobId::FromHex("").ok());
  EXPECT_FALSE(JobId::FromHex(good.substr(1)).ok());
  EXPECT_FALSE(JobId::FromHex(good + "0").ok());
  EXPECT_FALSE(JobId::FromHex(std::string(64, 'G')).ok());
  EXPECT_FALSE(JobId::FromHex("../" + good.substr(3)).ok());
  EXPECT_FALSE(JobId::FromRaw("short").ok());
}

}  // namespace
}  // namespace retort
