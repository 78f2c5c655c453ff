#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>

#include "absl/strings/str_cat.h"
#include "client/data/npy_file.h"
#include "client/data/npy_recordings.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Header(const std::string& dictionary, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  const std::string text = dictionary + "\n";
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) {
    out += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return out + text;
}

std::string Dictionary(const std::string& descr, const std::string& shape, bool fortran = false) {
  return absl::StrCat("{'descr': '", descr, "', 'fortran_order': ", fortran ? "True" : "False",
                      ", 'shape': (", shape, "), }");
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string Doubles(const std::string& shape, const std::vector<double>& values) {
  return Header(Dictionary("<f8", shape)) + Bytes(values);
}

std::string ErrorOf(const std::string& bytes) { return MessageOf(ParseNpy(bytes, "f").status()); }

TEST(ParseNpy, ReadsNumbersOfAllVersions) {
  for (const int version : {1, 2, 3}) {
    const auto array = ParseNpy(
        Header(Dictionary("<i2", "2, 3"), version) + Bytes<int16_t>({1, -2, 3, 4, 5, 6}), "f");
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_THAT(array->shape, ElementsAre(2, 3));
    EXPECT_THAT(array->numbers, ElementsAre(1, -2, 3, 4, 5, 6));
  }
  EXPECT_THAT(ParseNpy(Header(Dictionary("<f4", "2,")) + Bytes<float>({1.5, 2}), "f")->numbers,
              ElementsAre(1.5, 2));
  EXPECT_THAT(
      ParseNpy(Header(Dictionary("|b1", "2,", true)) + std::string("\1\0", 2), "f")->numbers,
      ElementsAre(1, 0));
  EXPECT_EQ(ParseNpy(Doubles("", {7}), "f")->elements(), 1);
  const auto texts = ParseNpy(
      Header(Dictionary("<U3", "2,")) + Bytes<uint32_t>({'S', '1', 0, 'a', 'b', 'c'}), "f");
  EXPECT_THAT(texts->texts, ElementsAre("S1", "abc"));
}

TEST(ParseNpy, RefusesAllElseByName) {
  EXPECT_THAT(ErrorOf("PK\3\4"), HasSubstr(".npz"));
  EXPECT_THAT(ErrorOf("hello"), HasSubstr("f: not a .npy file"));
  EXPECT_THAT(ErrorOf(Header(Dictionary("<f8", "1,"), 4)), HasSubstr("format version 4"));
  EXPECT_THAT(ErrorOf(Header(Dictionary("|O", "1,")) + "x"), HasSubstr("dtype is '|O'"));
  EXPECT_THAT(ErrorOf(Header(Dictionary("<c16", "1,"))), HasSubstr("dtype is '<c16'"));
  EXPECT_THAT(ErrorOf(Header(Dictionary(">f8", "1,")) + Bytes<double>({1})),
              HasSubstr("big-endian"));
  EXPECT_THAT(ErrorOf(Header(Dictionary("<f8", "1, 1", true)) + Bytes<double>({1})),
              HasSubstr("Fortran order"));
  EXPECT_THAT(ErrorOf(Header("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }")),
              HasSubstr("structured"));
  EXPECT_THAT(
      ErrorOf(Header("{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os')}")),
      HasSubstr("header"));
  EXPECT_THAT(ErrorOf(Doubles("4000000000, 4000000000", {})), HasSubstr("too large"));
  EXPECT_THAT(ErrorOf(Doubles("2,", {1})),
              HasSubstr("8 bytes of numbers; its shape (2) of <f8 takes 16"));
  EXPECT_THAT(ErrorOf(Doubles("1,", {1, 2})), HasSubstr("damaged"));
  const std::string whole = Doubles("2,", {1, 2});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(ErrorOf(whole.substr(0, size)), "") << size;
  }
}

class PrepareNpyTest : public testing::Test {
 protected:
  // 20 s at 50 Hz of 90 BPM: 7 windows.
  void WriteRecording(const std::string& name, const std::vector<double>& bpm) {
    const std::string folder = folder_ + "/" + name;
    std::filesystem::create_directories(folder);
    std::vector<double> x(2000);
    for (int i = 0; i < 2000; ++i) x[i] = std::sin(i * 0.1885);
    WriteBytes(folder + "/signal.npy", Doubles("2, 1000", x));
    WriteBytes(folder + "/rate.npy", Doubles("", {50}));
    WriteBytes(folder + "/bpm.npy", Doubles(absl::StrCat(bpm.size(), ","), bpm));
  }
  std::string Error(FilterMode filter = FilterMode::kRecording) {
    return MessageOf(Prepare(filter).status());
  }
  absl::StatusOr<Dataset> Prepare(FilterMode filter = FilterMode::kRecording) {
    PrepareOptions options;
    options.filter = filter;
    return PrepareNpy(folder_, options);
  }

  std::string folder_ = EmptyTestFolder();
};

TEST_F(PrepareNpyTest, TakesFoldersForRecordingsAndTheirFirstForSubjects) {
  WriteRecording("S1/run", std::vector<double>(7, 90));
  WriteRecording("S1/walk", std::vector<double>(7, 80));
  WriteRecording("S2", {90, 90, std::nan(""), 90, 90, 90, 90});
  WriteBytes(folder_ + "/S2/bad.npy",
             Header(Dictionary("|b1", "7,")) + std::string("\0\0\0\0\0\1\0", 7));
  const auto d = Prepare();
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_THAT(d->recordings, ElementsAre("S1:run", "S1:walk", "S2"));
  EXPECT_THAT(d->subjects, ElementsAre("S1", "S2"));
  EXPECT_EQ(d->windows_count, 7 + 7 + 5);
  EXPECT_EQ(d->metadata.at("windows_left_out"), R"({"S2":"2 without a label"})");
  EXPECT_EQ(d->metadata.at("name"), std::filesystem::path(folder_).filename());
  EXPECT_NEAR(d->fft_bpm_WC[4], 90, 1);
}

TEST_F(PrepareNpyTest, TakesWindowsThatAreCutAlready) {
  std::vector<double> x(4 * 400);
  for (int i = 0; i < 1600; ++i) x[i] = std::sin(i * 0.1885);
  x[500] = std::nan("");
  WriteBytes(folder_ + "/windows.npy", Doubles("4, 400", x));
  WriteBytes(folder_ + "/bpm.npy", Doubles("4,", {90, 91, 92, 93}));
  WriteBytes(folder_ + "/subject.npy",
             Header(Dictionary("<i8", "4,")) + Bytes<int64_t>({7, 7, 8, 7}));
  EXPECT_THAT(Error(), HasSubstr("--filter window"));
  const auto d = Prepare(FilterMode::kWindow);
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_THAT(d->bpm_W, ElementsAre(90, 92, 93));
  EXPECT_THAT(d->subjects, ElementsAre("7", "8"));
  EXPECT_THAT(d->recordings, ElementsAre("7", "8"));
  EXPECT_THAT(d->start_s_W, ElementsAre(0, 0, 4));
  EXPECT_THAT(d->metadata.at("windows_left_out"), HasSubstr("1 bad"));
  EXPECT_NEAR(d->fft_bpm_WC[0], 90, 1);
}

TEST_F(PrepareNpyTest, SaysWhichFileIsWrong) {
  EXPECT_THAT(Error(), HasSubstr("neither signal.npy"));
  const std::vector<double> bpm(7, 90);
  const auto refused = [&](const std::string& file, const std::string& bytes) {
    WriteRecording("S1", bpm);
    WriteBytes(folder_ + "/S1/" + file, bytes);
    return Error();
  };
  EXPECT_THAT(refused("rate.npy", Doubles("", {50.5})), HasSubstr("S1/rate.npy: a rate of 50.5"));
  EXPECT_THAT(refused("rate.npy", Doubles("2,", {50, 50})),
              HasSubstr("rate.npy: its shape is (2)"));
  EXPECT_THAT(refused("bpm.npy", Doubles("7, 1", bpm)), HasSubstr("bpm.npy: its shape is (7, 1)"));
  EXPECT_THAT(refused("bpm.npy", Doubles("1,", {300})), HasSubstr("label 1 is 300 BPM"));
  EXPECT_THAT(refused("bad.npy", Doubles("1,", {0})),
              HasSubstr("bad.npy: its shape is (1); must be (7)"));
  std::filesystem::remove(folder_ + "/S1/bad.npy");
  EXPECT_THAT(refused("signal.npy", Doubles("1, 1, 1", {0})), HasSubstr("signal.npy: its shape"));
}

}  // namespace
}  // namespace retort
