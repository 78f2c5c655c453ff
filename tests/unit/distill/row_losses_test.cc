// The losses by kernels (row_losses.h) beside LibTorch's operations in double precision, whose
// values and gradients losses_test.cc holds against references and differences.
#include "worker/distill/row_losses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "synthetic.h"
#include "worker/distill/methods.h"
#include "worker/kernels/kernels.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// Logits of student and teacher: usual ones, alike ones, and the ends of what is promised.
struct Case {
  std::string name;
  Tensor student_BK;
  Tensor teacher_BK;
  Tensor classes_B;
};

std::vector<Case> Cases() {
  torch::manual_seed(3);
  std::vector<Case> cases;
  for (const int64_t classes : {2, 5, 16, 37, 180}) {
    const Tensor at_B = torch::randint(classes, {40}, torch::kLong);
    const std::string of = " of " + std::to_string(classes) + " classes";
    const Tensor student = 3 * torch::randn({40, classes});
    cases.push_back({"usual" + of, student, 3 * torch::randn({40, classes}), at_B});
    cases.push_back({"alike" + of, student, student + 1e-2 * torch::randn({40, classes}), at_B});
    const auto extreme = [&] { return (torch::rand({40, classes}) - 0.5) * 2e4; };
    cases.push_back({"extreme" + of, extreme(), extreme(), at_B});
    // Each sure of the class of the reference, or sure that it is another: p is 0 or 1.
    Case sure = {"sure" + of, torch::full({40, classes}, -1e4), torch::full({40, classes}, -1e4),
                 at_B};
    for (int64_t b = 0; b < 40; ++b) {
      const int64_t y = at_B[b].item<int64_t>(), other = (y + 1) % classes;
      sure.student_BK[b][b % 2 == 0 ? y : other] = 1e4;
      sure.teacher_BK[b][b % 3 == 0 ? y : other] = 1e4;
    }
    cases.push_back(sure);
  }
  return cases;
}

// Each number to 1e-5, or to 1e-5 of the greatest of all where that is above 1: some roundings of
// the numbers that a sum is made of.
void ExpectClose(const Tensor& ours, const Tensor& wanted, const std::string& what) {
  ASSERT_EQ(ours.scalar_type(), torch::kFloat) << what << ": not by kernels";
  ASSERT_TRUE(ours.isfinite().all().item<bool>()) << what;
  const Tensor difference = (ours.to(torch::kDouble) - wanted).abs();
  const double scale = std::max(1.0, wanted.abs().max().item<double>());
  EXPECT_LE(difference.max().item<double>(), 1e-5 * scale) << what;
}

using LossOfRows = std::function<Tensor(const Case&, const Tensor& student_BK)>;

// Values per window and the gradient of their sum with random weights.
void ExpectAsInDouble(const LossOfRows& loss_of, const std::string& name) {
  for (const Case& c : Cases()) {
    const std::string what = name + ", " + c.name;
    const Tensor weights = torch::rand({40});
    const Tensor student = c.student_BK.detach().clone().requires_grad_();
    const Tensor loss = loss_of(c, student);
    (loss * weights).sum().backward();

    Case wide = c;
    wide.teacher_BK = c.teacher_BK.to(torch::kDouble);
    const Tensor wide_student = c.student_BK.detach().to(torch::kDouble).clone().requires_grad_();
    const Tensor wide_loss = loss_of(wide, wide_student);
    (wide_loss * weights.to(torch::kDouble)).sum().backward();
    ExpectClose(loss.detach(), wide_loss.detach(), what);
    ExpectClose(student.grad(), wide_student.grad(), "gradient of " + what);
  }
}

constexpr double kTemperatures[] = {0.1, 1, 2, 100};

TEST(RowLossesTest, CrossEntropiesAreThoseInDoublePrecision) {
  ExpectAsInDouble([](const Case& c, const Tensor& s) { return CrossEntropy(s, c.classes_B, {}); },
                   "one-hot");
  ExpectAsInDouble(
      [](const Case& c, const Tensor& s) {
        return CrossEntropy(s, c.classes_B, c.teacher_BK.softmax(1));
      },
      "distributions");
  ExpectAsInDouble(
      [](const Case& c, const Tensor& s) {
        return CrossEntropy(s, {}, torch::one_hot(c.classes_B, s.size(1)).to(s.scalar_type()));
      },
      "targets of 0 and 1");
}

TEST(RowLossesTest, DivergencesAreThoseInDoublePrecision) {
  for (const double t : kTemperatures) {
    ExpectAsInDouble([&](const Case& c, const Tensor& s) { return Divergence(s, c.teacher_BK, t); },
                     "T " + std::to_string(t));
  }
}

TEST(RowLossesTest, DecoupledPartsAreThoseInDoublePrecision) {
  for (const double t : kTemperatures) {
    const auto part = [&](auto which) {
      return [=](const Case& c, const Tensor& s) {
        return Decoupled(s, c.teacher_BK, c.classes_B, t).*which;
      };
    };
    const std::string at = ", T " + std::to_string(t);
    ExpectAsInDouble(part(&DecoupledParts::tckd_B), "TCKD" + at);
    ExpectAsInDouble(part(&DecoupledParts::nckd_B), "NCKD" + at);
    // Both at once: their gradients are one pass.
    ExpectAsInDouble(
        [&](const Case& c, const Tensor& s) {
          const auto parts = Decoupled(s, c.teacher_BK, c.classes_B, t);
          return parts.tckd_B + 8 * parts.nckd_B;
        },
        "TCKD + 8 NCKD" + at);
    for (const Case& c : Cases()) {
      ExpectClose(Decoupled(c.student_BK, c.teacher_BK, c.classes_B, t).teacher_other_p_B,
                  Decoupled(c.student_BK.to(torch::kDouble), c.teacher_BK.to(torch::kDouble),
                            c.classes_B, t)
                      .teacher_other_p_B,
                  "1 - p_t, " + c.name + at);
    }
  }
}

TEST(RowLossesTest, GradientsMatchDifferences) {
  const Case c = Cases()[16];  // usual, 180 classes
  for (const auto& method : {Scratch(), Hard(), Soft(2), Dkd(2)}) {
    LossInputs in;
    in.classes_B = c.classes_B;
    in.teacher_logits_BK = c.teacher_BK;
    in.logits_BK = c.student_BK.detach().clone().requires_grad_();
    ComputeLoss(method, in, 0).total.backward();
    const Tensor direction = torch::randn_like(c.student_BK);
    const auto at = [&](double h) {
      LossInputs moved = in;
      moved.logits_BK = c.student_BK + h * direction;
      return ComputeLoss(method, moved, 0).total.item<double>();
    };
    const double analytic = (in.logits_BK.grad() * direction).sum().item<double>();
    const double h = 2e-2;  // rounding and curvature both stay below the tolerance
    EXPECT_NEAR(analytic, (at(h) - at(-h)) / (2 * h), 1e-3 * (1 + std::abs(analytic)))
        << method.ShortDebugString();
  }
}

TEST(RowLossesTest, ANumberThatIsNoneShowsInTheLoss) {
  const Case c = Cases()[16];
  for (const float none :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Tensor student = c.student_BK.clone();
    student[7][11] = none;
    for (const auto& method : {Scratch(), Scratch(3), Soft(2), Dkd(2)}) {
      LossInputs in;
      in.logits_BK = student;
      in.teacher_logits_BK = c.teacher_BK;
      in.classes_B = c.classes_B;
      if (method.scratch().sigma() > 0) in.targets_BK = c.teacher_BK.softmax(1);
      EXPECT_FALSE(ComputeLoss(method, in, 0).total.isfinite().item<bool>())
          << none << " " << method.ShortDebugString();
    }
  }
}

TEST(RowLossesTest, TheBitsDoNotDependOnTheNumberOfThreadsOrRows) {
  const Case c = Cases()[16];
  const auto of = [&](const Tensor& student, const Tensor& teacher, const Tensor& classes) {
    const Tensor leaf = student.detach().clone().requires_grad_();
    const auto parts = Decoupled(leaf, teacher, classes, 2);
    (parts.tckd_B + 8 * parts.nckd_B + CrossEntropy(leaf, classes, {})).sum().backward();
    return leaf.grad();
  };
  const int before = torch::get_num_threads();
  torch::set_num_threads(1);
  const Tensor one = of(c.student_BK, c.teacher_BK, c.classes_B);
  torch::set_num_threads(2);
  EXPECT_TRUE(one.equal(of(c.student_BK, c.teacher_BK, c.classes_B)));
  torch::set_num_threads(before);
  EXPECT_TRUE(one.slice(0, 5, 9).equal(
      of(c.student_BK.slice(0, 5, 9), c.teacher_BK.slice(0, 5, 9), c.classes_B.slice(0, 5, 9))));
}

TEST(RowLossesTest, OtherTypesAndShapesAreLeftToTorch) {
  const Tensor rows = torch::zeros({4, 5});
  EXPECT_TRUE(AreKernelRows(rows, rows));
  EXPECT_FALSE(AreKernelRows(rows, torch::zeros({4, 6})));
  EXPECT_FALSE(AreKernelRows(rows.to(torch::kDouble), rows.to(torch::kDouble)));
  EXPECT_FALSE(AreKernelRows(rows, rows.to(torch::kBFloat16)));
  // Views that are not contiguous are made so.
  const Case c = Cases()[16];
  const Tensor columns = c.student_BK.t().contiguous().t();
  EXPECT_TRUE(
      Divergence(columns, c.teacher_BK, 2).equal(Divergence(c.student_BK, c.teacher_BK, 2)));
}

// Each instruction set, since a machine picks only its best.
TEST(RowLossesTest, AllInstructionSetsAgree) {
  for (const Case& c : Cases()) {
    const Tensor student = c.student_BK.to(torch::kDouble),
                 teacher = c.teacher_BK.to(torch::kDouble);
    for (const kernels::Kernels* kernels : kernels::AllKernels()) {
      const std::string what = std::string(kernels->name) + ", " + c.name;
      Tensor p_s = torch::empty_like(c.student_BK), p_t = torch::empty_like(p_s);
      Tensor kl = torch::empty({40}), mass = torch::empty({40});
      kernels->divergence({.student = c.student_BK.data_ptr<float>(),
                           .teacher = c.teacher_BK.data_ptr<float>(),
                           .classes = p_s.size(1),
                           .per_temperature = 0.5f,
                           .without = nullptr,
                           .p_s = p_s.data_ptr<float>(),
                           .p_t = p_t.data_ptr<float>(),
                           .kl = kl.data_ptr<float>(),
                           .u_s = nullptr,
                           .u_t = nullptr},
                          0, 40);
      ExpectClose(kl, Divergence(student, teacher, 2), what);
      ExpectClose(p_s, (student / 2).softmax(1), what);
      ExpectClose(p_t, (teacher / 2).softmax(1), what);
      kernels->cross_entropy({.logits = c.student_BK.data_ptr<float>(),
                              .classes = p_s.size(1),
                              .at = nullptr,
                              .targets = p_t.data_ptr<float>(),
                              .p = p_s.data_ptr<float>(),
                              .loss = kl.data_ptr<float>(),
                              .mass = mass.data_ptr<float>()},
                             0, 40);
      ExpectClose(kl, CrossEntropy(student, {}, p_t.to(torch::kDouble)), what);
      ExpectClose(mass, torch::ones({40}, torch::kDouble), what);
      const Tensor by = torch::randn({40}), dz = torch::empty_like(p_s);
      kernels->row_gradient({.x = p_s.data_ptr<float>(),
                             .y = p_t.data_ptr<float>(),
                             .by_x = by.data_ptr<float>(),
                             .by_y = mass.data_ptr<float>(),
                             .at = c.classes_B.data_ptr<int64_t>(),
                             .by_at = by.data_ptr<float>(),
                             .dz = dz.data_ptr<float>(),
                             .classes = p_s.size(1)},
                            0, 40);
      const Tensor wanted = (p_s * by.unsqueeze(1) + p_t * mass.unsqueeze(1))
                                .scatter_add(1, c.classes_B.unsqueeze(1), by.unsqueeze(1));
      ExpectClose(dz, wanted.to(torch::kDouble), what);
    }
  }
}

}  // namespace
}  // namespace retort::distill
