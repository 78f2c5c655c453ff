// MAT files for tests.
#ifndef RETORT_TESTS_UNIT_DATA_MAT_TEST_FILES_H_
#define RETORT_TESTS_UNIT_DATA_MAT_TEST_FILES_H_

#include <gtest/gtest.h>
#include <matio.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retort {

// A folder of its own for each test, empty at first.
inline std::string EmptyTestFolder() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = std::string("retort_") + test->test_suite_name() + "_" + test->name();
  std::replace(name.begin(), name.end(), '/', '_');
  const auto folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder.string();
}

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteBytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<int64_t>(bytes.size()));
}

// A matrix of doubles; `values` column after column.
struct TestMatrix {
  std::string name;
  int rows;
  int columns;
  std::vector<double> values;
};

inline void WriteMat(const std::string& path, std::vector<TestMatrix> matrices,
                     bool compressed = true) {
  mat_t* file = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
  for (TestMatrix& m : matrices) {
    size_t extents[] = {static_cast<size_t>(m.rows), static_cast<size_t>(m.columns)};
    matvar_t* matrix =
        Mat_VarCreate(m.name.c_str(), MAT_C_DOUBLE, MAT_T_DOUBLE, 2, extents, m.values.data(), 0);
    ASSERT_EQ(Mat_VarWrite(file, matrix, compressed ? MAT_COMPRESSION_ZLIB : MAT_COMPRESSION_NONE),
              0);
    Mat_VarFree(matrix);
  }
  Mat_Close(file);
}

// A file with one of them.
inline void WriteMat(const std::string& path, const std::string& variable, int rows, int columns,
                     std::vector<double> values, bool compressed = true) {
  WriteMat(path, {{variable, rows, columns, std::move(values)}}, compressed);
}

}  // namespace retort

#endif  // RETORT_TESTS_UNIT_DATA_MAT_TEST_FILES_H_
