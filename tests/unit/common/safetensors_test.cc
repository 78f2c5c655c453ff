#include "common/spec/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

namespace retort {
namespace {

std::string File(const std::string& header, const std::string& data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(uint64_t{header.size()} >> (8 * i));
  return out + header + data;
}

TEST(Safetensors, ReadsBackWhatItWrites) {
  const std::vector<float> a = {1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> b = {-7};
  const std::string bytes = SerializeSafetensors(
      {{"note", "a \"quoted\"\nline"}},
      {{"a", DType::kF32, {2, 3}, BytesOfVector(a)}, {"b", DType::kI32, {}, BytesOfVector(b)}});
  const auto file = Safetensors::Parse(bytes, "f");
  ASSERT_TRUE(file.ok()) << file.error();
  EXPECT_EQ(file->Find("a")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file->Find("a")->Copy<float>(), a);
  EXPECT_EQ(file->Find("b")->Copy<int32_t>(), b);
  EXPECT_EQ(*file->Metadata("note"), "a \"quoted\"\nline");
  EXPECT_EQ(bytes.substr(8).find('\0'), bytes.find_first_of('\0', 8) - 8);
}

TEST(Safetensors, NamesWhatThereIsWhenATensorIsMissing) {
  const std::vector<float> a = {1};
  const auto file = Safetensors::Parse(
      SerializeSafetensors({}, {{"a", DType::kF32, {1}, BytesOfVector(a)}}), "f");
  EXPECT_EQ(file->Find("b").error(), "f: has no tensor 'b'; it has: a");
}

TEST(Safetensors, RefusesDamagedFiles) {
  const auto refused = [](const std::string& bytes) {
    const auto file = Safetensors::Parse(bytes, "f.safetensors");
    EXPECT_FALSE(file.ok());
    return file.ok() ? "" : file.error();
  };
  EXPECT_NE(refused("").find("f.safetensors: not a safetensors file"), std::string::npos);
  EXPECT_NE(refused(std::string(100, '\xff')).find("header claims"), std::string::npos);
  EXPECT_NE(refused(File("{not json", "")).find("not JSON"), std::string::npos);
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_TRUE(Safetensors::Parse(File(good, std::string(8, 0)), "f").ok());
  EXPECT_NE(refused(File(good, std::string(7, 0))).find("cut short"), std::string::npos);
  const auto with = [&](const char* entry) { return refused(File(entry, std::string(8, 0))); };
  EXPECT_NE(with(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})").find("F31"),
            std::string::npos);
  EXPECT_NE(with(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})").find("shape"),
            std::string::npos);
  EXPECT_NE(with(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})").find("whole number"),
            std::string::npos);
  EXPECT_NE(with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})").find("data_offsets"),
            std::string::npos);
  // 2^33 x 2^33 elements would wrap around to 4 bytes' worth if multiplied as integers.
  EXPECT_FALSE(
      with(R"({"a":{"dtype":"U8","shape":[8589934592,8589934592],"data_offsets":[0,0]}})").empty());
  EXPECT_FALSE(with(R"({"a":5})").empty());
  EXPECT_NE(with(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},
                     "b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})")
                .find("overlap"),
            std::string::npos);
}

}  // namespace
}  // namespace retort
