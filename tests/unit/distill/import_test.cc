// client/teachers/import_resnet1d.py, on checkpoints that Debian's python3-torch writes.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/spec/safetensors.h"
#include "common/spec/weights_file.h"
#include "synthetic.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

torch::Tensor TensorOf(const Safetensors& file, const std::string& name) {
  const auto view = file.Find(name);
  EXPECT_TRUE(view.ok());
  auto values = view->Copy<float>();
  return torch::from_blob(values.data(), view->shape).clone();
}

class ImportTest : public testing::Test {
 protected:
  ImportTest() : folder_(EmptyFolder("import")) {}
  ~ImportTest() override { std::filesystem::remove_all(folder_); }
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import importlib.util as u, sys; "
                    "sys.exit(u.find_spec(\"torch\") is None)'") != 0) {
      GTEST_SKIP() << "python3-torch is not installed: the importer is not tested";
    }
  }
  // Runs a script of the repository; what it printed.
  std::string Python(const std::string& script, const std::string& arguments) {
    const std::string log = folder_ + "/log";
    code_ = std::system(("/usr/bin/python3 " RETORT_SOURCE_DIR "/" + script + " " + arguments +
                         " >" + log + " 2>&1")
                            .c_str());
    return *ReadWholeFile(log);
  }
  std::string Checkpoint(const std::string& sizes) {
    const std::string said = Python("tests/unit/distill/make_checkpoint.py",
                                    folder_ + "/c.pt " + folder_ + "/e.safetensors " + sizes);
    EXPECT_EQ(code_, 0) << said;
    return folder_ + "/c.pt";
  }
  std::string Import(const std::string& arguments) {
    return Python("client/teachers/import_resnet1d.py",
                  folder_ + "/c.pt --out " + folder_ + "/w.safetensors " + arguments);
  }

  const std::string folder_;
  int code_ = 0;
};

TEST_F(ImportTest, AnImportedNetworkGivesTheLogitsThatPyTorchGives) {
  for (const auto& [base, blocks] : {std::pair{6, 9}}) {  // several widths and halvings
    Checkpoint(std::to_string(base) + " " + std::to_string(blocks));
    const std::string said =
        Import("--base " + std::to_string(base) + " --blocks " + std::to_string(blocks));
    ASSERT_EQ(code_, 0) << said;
    const std::string path = folder_ + "/w.safetensors";
    const auto header = CheckWeights(*Safetensors::ReadFile(path));
    ASSERT_TRUE(header.ok()) << header.error();
    const auto network = ParseWeights(*ReadWholeFile(path), path, header->model, header->samples);
    const auto expected = Safetensors::ReadFile(folder_ + "/e.safetensors");
    torch::NoGradGuard no_grad;
    const auto logits = network->Forward(TensorOf(*expected, "windows")).logits_BK;
    const auto error = (logits - TensorOf(*expected, "logits")).abs().max().item<double>();
    EXPECT_LT(error, 1e-4) << base << "/" << blocks;
  }
}

TEST_F(ImportTest, WhatDoesNotFitIsSaidAndNothingIsWritten) {
  Checkpoint("4 4");
  const auto refusal = [&](const std::string& arguments) {
    const std::string said = Import(arguments);
    EXPECT_NE(code_, 0);
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/w.safetensors"));
    return said;
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(refusal("--base 8 --blocks 4"),
      "'first_block_conv.conv.weight' is [4, 1, 5]; expected [8, 1, 5]");
  has(refusal("--base 4 --blocks 5"), "has no 'basicblock_list.4.bn1.weight'");
  has(refusal("--base 4 --blocks 3"), "have no place in 4/3");
}

}  // namespace
}  // namespace retort::distill
