#include <gmock/gmock.h>
#include <torch/script.h>

#include <sstream>

#include "attempt_fixture.h"
#include "common/spec/safetensors.h"
#include "worker/distill/teacher.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

class GivenTeacherTest : public AttemptTest {
 protected:
  // A job that learns from a file with these bytes.
  v1::RunJob Learner(const v1::MethodSpec& method, const std::string& bytes) {
    EXPECT_TRUE(WriteFileWhole(folder_ + "/teacher", bytes).ok());
    v1::RunJob job = JobOf(Job(ResNet(4, 4), method, 1));
    job.set_teacher_weights_path(folder_ + "/teacher");
    return job;
  }
  std::string Weights(const v1::ModelSpec& model = ResNet(8, 4), int samples = 200) {
    return SerializeWeights(*BuildNetwork(model, samples, 1), model, "", samples);
  }
  // What the network of Weights() says of every window of `data`, as given outputs.
  std::string Outputs(bool features = true) {
    const auto data = LoadDataset(SineDataset(6, 20), "data");
    torch::NoGradGuard no_grad;
    const KernelChoice kernels(ResNet(8, 4));
    const auto out = ParseWeights(Weights(), "w", ResNet(8, 4), 200)->Forward(data->rows_R1L);
    const auto bytes = [](const torch::Tensor& tensor) {
      return std::string_view(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
    };
    std::vector<TensorToWrite> tensors = {
        {"logits", DType::kF32, {120, 2, 180}, bytes(out.logits_BK)}};
    if (features) tensors.push_back({"features", DType::kF32, {120, 2, 8}, bytes(out.features_BF)});
    return SerializeSafetensors({{"format", "retort.outputs.v1"}, {"dataset", "data"}}, tensors);
  }
  std::string Script(const std::string& body) {
    torch::jit::Module module("m");
    module.define(body + "\n");
    std::ostringstream out;
    module.save(out);
    return out.str();
  }
};

TEST_F(GivenTeacherTest, WeightsAndTheirOutputsTeachTheSame) {
  for (const auto& method : {Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)}) {
    auto job = Learner(method, Weights());
    job.mutable_spec()->mutable_given_teacher()->set_weights_sha256("w");
    const std::string weights = *ReadWholeFile(Finish(job).weights_path());
    job = Learner(method, Outputs());
    job.mutable_spec()->mutable_given_teacher()->set_outputs_sha256("o");
    const auto learnt = Safetensors::Parse(*ReadWholeFile(Finish(job).weights_path()), "o");
    const auto expected = Safetensors::Parse(weights, "w");
    for (const auto& [name, view] : expected->tensors()) {
      // All convolutions lead into batch norms, so that their biases have no effect: their
      // gradients are rounding, which Adam scales up, and the norms' means take them out again.
      const bool of_convolution = name.find("conv") != name.npos || name == "stem.bias";
      if ((name.ends_with(".bias") && of_convolution) || name.ends_with(".running_mean")) continue;
      const auto a = view.Copy<float>(), b = learnt->Find(name)->Copy<float>();
      for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 2e-3) << name;
    }
  }
}

TEST_F(GivenTeacherTest, WhatDoesNotFitIsInvalid) {
  const auto refusal = [&](const std::string& bytes, auto set,
                           const v1::MethodSpec& method = Soft(2)) {
    auto job = Learner(method, bytes);
    set(*job.mutable_spec()->mutable_given_teacher());
    const auto failure = Fail(job);
    EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_INVALID) << failure.message();
    return failure.message();
  };
  const auto weights = [](v1::GivenTeacher& given) { given.set_weights_sha256("x"); };
  const auto outputs = [](v1::GivenTeacher& given) { given.set_outputs_sha256("x"); };
  const auto module = [](v1::GivenTeacher& given) { given.set_torchscript_sha256("x"); };
  EXPECT_THAT(refusal("junk", weights), HasSubstr("given_teacher: "));
  EXPECT_THAT(refusal(Weights(Mlp(4, 1), 100), weights), HasSubstr("windows of 100 samples"));
  EXPECT_THAT(refusal(Outputs(), weights), HasSubstr("weights have 'retort.model.v1'"));
  EXPECT_THAT(refusal(Outputs(false), outputs, Feature(v1::FEATURE_NORM_NONE)),
              HasSubstr("gives no features"));
  const float zero = 0;
  EXPECT_THAT(
      refusal(SerializeSafetensors(
                  {{"format", "retort.outputs.v1"}, {"dataset", "other"}},
                  {{"logits", DType::kF32, {1, 1, 1}, {reinterpret_cast<const char*>(&zero), 4}}}),
              outputs),
      HasSubstr("1 classes; must have 180"));
  EXPECT_THAT(refusal(Script("def forward(self, x):\n  return x"), module),
              HasSubstr("--allow-torchscript"));
}

TEST_F(GivenTeacherTest, ModulesTeachWhereTheyAreAllowed) {
  const auto run = [&](const std::string& bytes, const v1::MethodSpec& method) {
    auto job = Learner(method, bytes);
    job.mutable_spec()->mutable_given_teacher()->set_torchscript_sha256("m");
    job.set_allow_torchscript(true);
    return Run(job);
  };
  const std::string logits = "torch.cat([x.flatten(1)[:, :180]], 1)";
  const auto plain = Script("def forward(self, x):\n  return " + logits);
  const auto pair = Script("def forward(self, x):\n  return (" + logits + ", x.flatten(1)[:, :7])");
  const auto feature = Feature(v1::FEATURE_NORM_CHANNEL_STD);
  EXPECT_TRUE(std::holds_alternative<v1::RunnerFinished>(run(plain, Soft(2))));
  EXPECT_TRUE(std::holds_alternative<v1::RunnerFinished>(run(plain, Soft(4)))) << "cached";
  EXPECT_TRUE(std::holds_alternative<v1::RunnerFinished>(run(pair, feature)));
  const auto message = [&](const std::string& bytes, const v1::MethodSpec& method) {
    const auto outcome = run(bytes, method);
    const auto* failure = std::get_if<v1::Failure>(&outcome);
    EXPECT_TRUE(failure != nullptr && failure->cause() == v1::FAILURE_CAUSE_INVALID);
    return failure == nullptr ? "" : failure->message();
  };
  EXPECT_THAT(message("junk", Soft(2)), HasSubstr("no TorchScript module"));
  EXPECT_THAT(message(plain, feature), HasSubstr("gives no features"));
  EXPECT_THAT(message(Script("def forward(self, x):\n  return x.flatten(1)"), Soft(2)),
              HasSubstr("its logits are [120, 200] for 120 windows"));
  EXPECT_THAT(message(Script("def forward(self, x):\n  return x.view(7, -1)"), Soft(2)),
              HasSubstr("fails on windows"));
}

}  // namespace
}  // namespace retort::distill
