#include "client/data/mat_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/data/random.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::HasSubstr;

std::vector<double> Counting(size_t count) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i * i % 1013) + 0.25;
  return values;
}

class MatFile : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    path_ = EmptyTestFolder() + "/a.mat";
    WriteMat(path_, "sig", 6, 300, Counting(1800), GetParam());
  }
  std::string path_;
};

TEST_P(MatFile, GivesTheMatrix) {
  const auto matrix = ReadMatrix(path_, "sig");
  ASSERT_TRUE(matrix.ok()) << matrix.status();
  EXPECT_EQ(matrix->rows, 6);
  EXPECT_EQ(matrix->columns, 300);
  EXPECT_EQ(matrix->values, Counting(1800));
  EXPECT_EQ(matrix->at(2, 1), Counting(9)[8]);
}

TEST_P(MatFile, CutShortAnywhereIsAnErrorThatNamesIt) {
  const std::string whole = ReadBytes(path_);
  for (size_t size = 0; size < whole.size(); size += size < 400 ? 1 : 37) {
    WriteBytes(path_, std::string_view(whole).substr(0, size));
    const auto matrix = ReadMatrix(path_, "sig");
    ASSERT_EQ(matrix.status().code(), absl::StatusCode::kInvalidArgument) << size;
    ASSERT_THAT(MessageOf(matrix.status()), HasSubstr(path_));
    ASSERT_THAT(MessageOf(matrix.status()), HasSubstr("cut short")) << size;
  }
  WriteBytes(path_, std::string_view(whole).substr(0, whole.size() - 1));
  EXPECT_FALSE(ReadMatrix(path_, "sig").ok());
}

TEST_P(MatFile, WithAnyByteChangedIsReadOrRefused) {
  const std::string whole = ReadBytes(path_);
  Random random(3, 0);
  for (int i = 0; i < 1500; ++i) {
    std::string changed = whole;
    // Half of the changes where the structure is.
    const size_t reach = i % 2 == 0 ? whole.size() : std::min<size_t>(whole.size(), 240);
    changed[random.Next() % reach] ^= static_cast<char>(1 + random.Next() % 255);
    WriteBytes(path_, changed);
    const auto matrix = ReadMatrix(path_, "sig");
    if (matrix.ok()) {
      ASSERT_EQ(matrix->values.size(), static_cast<size_t>(matrix->rows * matrix->columns));
    } else {
      ASSERT_THAT(MessageOf(matrix.status()), HasSubstr(path_));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(PackedAndPlain, MatFile, testing::Bool());

TEST(ReadMatrix, SaysWhatAFileHoldsInstead) {
  const std::string path = EmptyTestFolder() + "/a.mat";
  WriteMat(path, "other", 1, 2, {1, 2});
  EXPECT_THAT(MessageOf(ReadMatrix(path, "sig").status()),
              HasSubstr(path + ": no variable 'sig'; it holds: other"));
}

TEST(ReadMatrix, RefusesWhatIsNoMatFile) {
  const std::string path = EmptyTestFolder() + "/a.mat";
  EXPECT_EQ(ReadMatrix(path, "sig").status().code(), absl::StatusCode::kNotFound);
  WriteBytes(path, std::string(5000, 'x'));
  EXPECT_THAT(MessageOf(ReadMatrix(path, "sig").status()),
              HasSubstr("not a MAT file of version 5"));
  WriteBytes(path, "\x89HDF\r\n" + std::string(5000, 'x'));
  EXPECT_THAT(MessageOf(ReadMatrix(path, "sig").status()), HasSubstr("HDF5"));
}

TEST(ReadMatrix, RefusesExtentsThatDoNotFitTheNumbers) {
  const std::string path = EmptyTestFolder() + "/a.mat";
  WriteMat(path, "sig", 6, 300, Counting(1800), /*compressed=*/false);
  std::string bytes = ReadBytes(path);
  // Header 128, tag of the variable 8, flags 16, tag of the extents 8, number of rows 4.
  ASSERT_EQ(bytes.substr(164, 4), std::string("\x2c\x01\0\0", 4));  // 300
  bytes[165] = '\x02';
  WriteBytes(path, bytes);
  EXPECT_THAT(MessageOf(ReadMatrix(path, "sig").status()), HasSubstr("do not fit its extents"));
}

TEST(ReadMatrix, RefusesText) {
  const std::string path = EmptyTestFolder() + "/a.mat";
  mat_t* file = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
  char text[] = "abc";
  size_t extents[] = {1, 3};
  matvar_t* variable = Mat_VarCreate("sig", MAT_C_CHAR, MAT_T_UINT8, 2, extents, text, 0);
  ASSERT_EQ(Mat_VarWrite(file, variable, MAT_COMPRESSION_ZLIB), 0);
  Mat_VarFree(variable);
  Mat_Close(file);
  EXPECT_THAT(MessageOf(ReadMatrix(path, "sig").status()), HasSubstr("matrix of real numbers"));
}

}  // namespace
}  // namespace retort
