// The output layer of texts, and their probabilities. Arguments have been checked.
#ifndef FASTLSTM_OUTPUT_H
#define FASTLSTM_OUTPUT_H

#include "lstm.h"

namespace fastlstm {

void compute_output(const fastlstm_output_arguments &arguments);

}  // namespace fastlstm

#endif
