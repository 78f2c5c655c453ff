// A filesystem of a few MiB in a namespace of its own, which a test may fill up and make read-only
// without being allowed anything outside.
#ifndef RETORT_TESTS_E2E_SMALL_DISK_H_
#define RETORT_TESTS_E2E_SMALL_DISK_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace retort::e2e {

class SmallDisk {
 public:
  // `folder` is where it is mounted, for processes that were started through `prefix`.
  SmallDisk(const std::string& folder, int mib);

  // False where the machine allows no namespaces or no mounts in them.
  bool works() const { return works_; }
  // To be put before a command line.
  std::vector<std::string> prefix() const;
  // The path by which the test itself reaches a file of the disk.
  std::string Outside(const std::string& path) const;

  // Leaves no byte free; gives them back.
  void Fill();
  void Free();
  void SetReadOnly(bool read_only);

 private:
  std::string folder_;
  std::unique_ptr<Process> holder_;  // keeps the namespace
  bool works_ = false;
};

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_SMALL_DISK_H_
