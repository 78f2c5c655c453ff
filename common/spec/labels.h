// Short names of networks and methods, as tables show them and as `exclude` and `overrides` match
// them.
#ifndef RETORT_COMMON_SPEC_LABELS_H_
#define RETORT_COMMON_SPEC_LABELS_H_

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <string_view>

#include "retort/v1/spec.pb.h"

namespace retort {

// Dropout that a network has where the sweep leaves it out (science: Training).
inline constexpr double kStudentDropout = 0;
inline constexpr double kTeacherDropout = 0.1;

// `resnet1d-32/8`, `mlp-128x2` (width x depth). Fields that differ from their defaults follow:
// `resnet1d-32/8,kernel=7`; dropout where it is set and differs from `usual_dropout`.
std::string ModelLabel(const v1::ModelSpec& model, double usual_dropout);

// `scratch`, `dkd`; fields that differ from their defaults follow: `scratch(sigma=3)`,
// `dkd(beta=1,temperature=4)`.
std::string MethodLabel(const v1::MethodSpec& method);

// `scratch`, `hard`, `soft`, `dkd`, `feature`; empty if unset.
std::string MethodName(const v1::MethodSpec& method);

// True if the method learns from a teacher.
bool NeedsTeacher(const v1::MethodSpec& method);

// The value of a scalar field as a sweep file spells it: enumerators in lower case without their
// type's prefix.
std::string FieldText(const google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field);

// Width of the Gaussian targets in BPM that the reference's part of the loss has: the method's
// field `sigma`; 0 for one-hot.
double TargetWidth(const v1::MethodSpec& method);

// Which features a method compares, and how.
struct ComparedFeatures {
  std::string student_stage;  // empty: penultimate
  std::string teacher_stage;
  v1::FeatureNorm norm = v1::FEATURE_NORM_NONE;
};
// Of a method whose message has the fields student_stage, teacher_stage and norm; nothing for
// others.
std::optional<ComparedFeatures> FeaturesOf(const v1::MethodSpec& method);

// A number as a person writes it: the shortest decimal that reads back as the same double.
std::string ShortNumber(double value);

// True if `text` matches `glob`, in which * stands for any run of characters, and nothing else is
// special.
bool GlobMatches(std::string_view glob, std::string_view text);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_LABELS_H_
