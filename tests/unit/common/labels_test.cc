#include "common/spec/labels.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(ModelLabel, ShowsWhatIsUnusual) {
  v1::ModelSpec model;
  model.mutable_resnet1d()->set_base(32);
  model.mutable_resnet1d()->set_blocks(8);
  EXPECT_EQ(ModelLabel(model, kTeacherDropout), "resnet1d-32/8");
  model.mutable_resnet1d()->set_kernel(5);
  model.mutable_resnet1d()->set_dropout(0.1);
  EXPECT_EQ(ModelLabel(model, kTeacherDropout), "resnet1d-32/8");
  EXPECT_EQ(ModelLabel(model, kStudentDropout), "resnet1d-32/8,dropout=0.1");
  model.mutable_resnet1d()->set_kernel(7);
  EXPECT_EQ(ModelLabel(model, kTeacherDropout), "resnet1d-32/8,kernel=7");
  v1::ModelSpec mlp;
  mlp.mutable_mlp()->set_width(128);
  mlp.mutable_mlp()->set_depth(2);
  EXPECT_EQ(ModelLabel(mlp, kStudentDropout), "mlp-128x2");
}

TEST(MethodLabel, ShowsWhatIsUnusual) {
  v1::MethodSpec method;
  method.mutable_scratch();
  EXPECT_EQ(MethodLabel(method), "scratch");
  method.mutable_scratch()->set_sigma(3);
  EXPECT_EQ(MethodLabel(method), "scratch(sigma=3)");
  method.mutable_dkd()->set_beta(8);
  method.mutable_dkd()->set_temperature(4);
  EXPECT_EQ(MethodLabel(method), "dkd(temperature=4)");
  method.mutable_feature()->set_norm(v1::FEATURE_NORM_L2);
  EXPECT_EQ(MethodLabel(method), "feature(norm=l2)");
}

TEST(GlobMatches, StarStandsForAnyRun) {
  EXPECT_TRUE(GlobMatches("resnet1d*", "resnet1d-4/4"));
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(GlobMatches("a*b*c", "aXbYbZ"));
  EXPECT_FALSE(GlobMatches("resnet1d-4/4", "resnet1d-4/44"));
  EXPECT_FALSE(GlobMatches("", "x"));
}

}  // namespace
}  // namespace retort
