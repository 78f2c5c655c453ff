#include "common/fields.h"

#include <gtest/gtest.h>

#include "common/status.h"
#include "retort/v1/spec.pb.h"

namespace retort {
namespace {

TEST(SetField, TakesEveryTypeAsSweepFilesSpellIt) {
  v1::TrainSpec train;
  EXPECT_TRUE(SetField(train, "epochs", "12").ok());
  EXPECT_TRUE(SetField(train, "peak_lr", "1e-2").ok());
  EXPECT_TRUE(SetField(train, "schedule", "one_cycle").ok());
  EXPECT_EQ(train.epochs(), 12);
  EXPECT_EQ(train.peak_lr(), 0.01);
  EXPECT_EQ(train.schedule(), v1::SCHEDULE_ONE_CYCLE);
  v1::Budget budget;
  EXPECT_TRUE(SetField(budget, "wall", "1h30m").ok());
  EXPECT_EQ(budget.wall().seconds(), 5400);
}

TEST(SetField, NamesTheNearestKeyForAnUnknownOne) {
  v1::TrainSpec train;
  const auto status = SetField(train, "epoch", "12");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(MessageOf(status).find("did you mean 'epochs'?"), std::string::npos) << status;
}

TEST(SetField, SaysWhatTypeIsExpected) {
  v1::TrainSpec train;
  EXPECT_EQ(MessageOf(SetField(train, "epochs", "many")), "'many'; expected a whole number");
  EXPECT_EQ(MessageOf(SetField(train, "epochs", "1.5")), "'1.5'; expected a whole number");
  EXPECT_EQ(MessageOf(SetField(train, "clip", "nan")), "'nan'; expected a number");
  EXPECT_NE(MessageOf(SetField(train, "keep", "lst")).find("did you mean 'last'?"),
            std::string::npos);
  v1::Budget budget;
  EXPECT_NE(MessageOf(SetField(budget, "wall", "soon")).find("a duration such as"),
            std::string::npos);
}

// 0 is spelled by its word alone.
TEST(SetField, AWordMayStandForZero) {
  v1::TrainSpec train;
  EXPECT_TRUE(SetField(train, "microbatch", "32").ok());
  EXPECT_EQ(train.microbatch(), 32);
  EXPECT_TRUE(SetField(train, "microbatch", "auto").ok());
  EXPECT_TRUE(train.has_microbatch());
  EXPECT_EQ(train.microbatch(), 0);
  EXPECT_TRUE(CheckRules(train, "train").ok());
  EXPECT_EQ(MessageOf(SetField(train, "microbatch", "0")), "'0'; expected a whole number or auto");
  EXPECT_EQ(MessageOf(SetField(train, "epochs", "auto")), "'auto'; expected a whole number");
  train.set_microbatch(1);
  EXPECT_EQ(MessageOf(CheckRules(train, "train")),
            "train.microbatch: 1; must be at least 2 and at most 1e+06, or auto");
}

TEST(CheckRules, NamesPathValueAndBounds) {
  v1::SweepSpec sweep;
  sweep.mutable_train()->set_epochs(-3);
  EXPECT_EQ(MessageOf(CheckRules(sweep, "")),
            "train.epochs: -3; must be at least 1 and at most 1e+06");
  sweep.mutable_train()->set_epochs(3);
  EXPECT_TRUE(CheckRules(sweep, "").ok());
  sweep.add_methods()->mutable_method()->mutable_soft()->set_temperature(0);
  EXPECT_EQ(MessageOf(CheckRules(sweep, "")),
            "methods[0].method.soft.temperature: 0; must be above 0 and at most 1000");
}

TEST(FillDefaults, SetsWhatIsUnsetAndKeepsWhatIsSet) {
  v1::MethodSpec method;
  method.mutable_dkd()->set_beta(1);
  FillDefaults(method);
  EXPECT_EQ(method.dkd().beta(), 1);
  EXPECT_EQ(method.dkd().alpha(), 1);
  EXPECT_EQ(method.dkd().lambda(), 0.9);
  EXPECT_EQ(method.dkd().temperature(), 2);
  EXPECT_TRUE(method.dkd().has_sigma());
  EXPECT_FALSE(method.dkd().has_ce_weight()) << "it has no default: it depends on lambda";
}

// A default that does not parse, or that breaks its own rule, would go unnoticed until somebody
// relies on it.
TEST(FillDefaults, EveryDefaultOfEveryMessageParsesAndObeysItsRule) {
  const auto* file = v1::TrainSpec::descriptor()->file();
  int defaults = 0;
  for (int m = 0; m < file->message_type_count(); ++m) {
    const auto* prototype =
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(file->message_type(m));
    std::unique_ptr<google::protobuf::Message> message(prototype->New());
    FillDefaults(*message);
    EXPECT_TRUE(CheckRules(*message, "").ok()) << file->message_type(m)->name();
    for (int f = 0; f < file->message_type(m)->field_count(); ++f) {
      const auto* field = file->message_type(m)->field(f);
      if (field->options().GetExtension(v1::rule).default_value().empty()) continue;
      ++defaults;
      EXPECT_TRUE(message->GetReflection()->HasField(*message, field)) << field->full_name();
    }
  }
  EXPECT_GT(defaults, 20);
}

TEST(Nearest, FindsNothingForAWordThatIsFarFromAll) {
  EXPECT_EQ(Nearest("studnts", {"students", "teachers"}), "students");
  EXPECT_EQ(Nearest("banana", {"students", "teachers"}), "");
}

}  // namespace
}  // namespace retort
