//! How the controller wrote one architecture, and the gradient of a loss through it.

use super::matrix::{add, add_outer, add_transposed};
use super::policy::Policy;

/// A step of the LSTM.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What went in, and the state before, (2 h).
    pub(super) input: Vec<f64>,
    /// In, forget, out and new, after their functions, (4 h).
    pub(super) gates: Vec<f64>,
    /// The cell before, (h).
    pub(super) before: Vec<f64>,
    /// The cell, (h).
    pub(super) cell: Vec<f64>,
    /// Its tanh, (h).
    pub(super) squashed: Vec<f64>,
    /// The state, (h).
    pub(super) state: Vec<f64>,
}

/// A decision.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// One for each thing that can be chosen.
    pub(super) probabilities: Vec<f64>,
    /// Slopes of the logits over what they are made from.
    pub(super) slopes: Vec<f64>,
    /// What was chosen.
    pub(super) chosen: usize,
}

/// A decision whether to read from an earlier layer.
#[derive(Clone, Debug)]
pub(super) struct Attended {
    /// The tanh of both states under their matrices, (h).
    pub(super) query: Vec<f64>,
    /// No and yes.
    pub(super) choice: Choice,
}

/// What is minimised over an architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// Weight of the logarithm of the chance that it is drawn: what makes it likelier.
    pub(super) advantage: f64,
    /// Weight of the entropy of all decisions, which is to be large.
    pub(super) entropy_weight: f64,
    /// Weight of the mean divergence of the decisions to skip from their target.
    pub(super) skip_weight: f64,
    /// Wished chance to skip, above 0 and below 1.
    pub(super) skip_target: f64,
}

/// Everything of one architecture: for each layer its step and operation, and, but for the first, the step and decisions
/// of its skips.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) layers: Vec<Written>,
}

/// A layer: the step and its operation, and the step and the decisions of its skips.
pub(super) type Written = (Step, Choice, Option<(Step, Vec<Attended>)>);

impl Choice {
    /// What a number from 0 to 1 chooses.
    pub(super) fn pick(&self, u: f64) -> usize {
        let mut sum = 0.0;
        let passed = self.probabilities.iter().take_while(|p| {
            sum += **p;
            sum <= u
        });
        passed.count().min(self.probabilities.len() - 1)
    }

    fn log_probability(&self) -> f64 {
        logarithm(self.probabilities[self.chosen])
    }

    fn entropy(&self) -> f64 {
        -self.probabilities.iter().map(|p| p * logarithm(*p)).sum::<f64>()
    }

    /// The derivative of the loss over each logit, divergence left out.
    fn over_logits(&self, loss: &Loss) -> Vec<f64> {
        let entropy = self.entropy();
        let of = |(i, p): (usize, &f64)| {
            let chosen = f64::from(u8::from(i == self.chosen));
            loss.advantage * (p - chosen) + loss.entropy_weight * p * (logarithm(*p) + entropy)
        };
        self.probabilities.iter().enumerate().map(of).collect()
    }

    /// Divergence of a decision to skip from a target, and its derivative over the chance.
    fn divergence(&self, target: f64) -> (f64, f64) {
        let [no, yes] = [self.probabilities[0], self.probabilities[1]];
        let (skip, keep) = (logarithm(yes) - target.ln(), logarithm(no) - (1.0 - target).ln());
        (yes * skip + no * keep, skip - keep)
    }
}

/// Finite where a chance has become 0.
fn logarithm(p: f64) -> f64 {
    p.max(f64::MIN_POSITIVE).ln()
}

impl Trace {
    fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.layers.iter().flat_map(|(_, operation, skips)| {
            let skips = skips.iter().flat_map(|(_, attended)| attended.iter().map(|skip| &skip.choice));
            std::iter::once(operation).chain(skips)
        })
    }

    /// What was chosen.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.choices().map(|choice| choice.chosen).collect()
    }

    /// The logarithm of the chance of all choices.
    pub(super) fn log_probability(&self) -> f64 {
        self.choices().map(Choice::log_probability).sum()
    }

    fn n_skips(&self) -> f64 {
        let n = self.layers.len();
        (n * n.saturating_sub(1) / 2).max(1) as f64
    }

    /// The loss itself.
    #[cfg(test)]
    pub(super) fn loss(&self, loss: &Loss) -> f64 {
        let entropy: f64 = self.choices().map(Choice::entropy).sum();
        let skips =
            self.layers.iter().flat_map(|(.., skips)| skips.iter().flat_map(|(_, attended)| attended));
        let divergence: f64 = skips.map(|skip| skip.choice.divergence(loss.skip_target).0).sum();
        -loss.advantage * self.log_probability() - loss.entropy_weight * entropy
            + loss.skip_weight * divergence / self.n_skips()
    }

    /// The derivative of the loss over every weight of the controller that wrote this, backwards through time.
    pub(super) fn gradient(&self, policy: &Policy, loss: &Loss) -> Vec<f64> {
        let mut back = Backward {
            policy,
            gradient: vec![0.0; policy.weights.len()],
            state: vec![0.0; policy.hidden],
            cell: vec![0.0; policy.hidden],
            steps: Vec::with_capacity(2 * self.layers.len()),
        };
        let zeros = || vec![0.0; policy.hidden];
        // Over the state of each layer, and over the same under the attention's first matrix.
        let mut anchors: Vec<(Vec<f64>, Vec<f64>)> = self.layers.iter().map(|_| (zeros(), zeros())).collect();
        for (layer, (step, operation, skips)) in self.layers.iter().enumerate().rev() {
            let last = skips.as_ref().map_or(step, |(step, _)| step);
            let (over_state, over_attended) = std::mem::take(&mut anchors[layer]);
            add(&mut back.state, 1.0, &over_state);
            back.transposed(&policy.layout.attention_1, &over_attended, &last.state);
            if let Some((step, attended)) = skips {
                back.attention(step, attended, &mut anchors, loss, self.n_skips());
                let over_input = back.step(step);
                let row = policy.layout.embedding.start + operation.chosen * policy.hidden;
                add(&mut back.gradient[row..row + policy.hidden], 1.0, &over_input);
            }
            let over_logits = operation.over_logits(loss);
            let raw: Vec<f64> =
                over_logits.iter().zip(&operation.slopes).map(|(d, slope)| d * slope).collect();
            back.transposed(&policy.layout.softmax, &raw, &step.state);
            let over_input = back.step(step);
            self.hand_on(layer, &over_input, &mut back.gradient[policy.layout.begin.clone()], &mut anchors);
        }
        back.finish()
    }

    /// Hands on what the first step of a layer says of its input: the mean of what the layer before reads, or the start.
    fn hand_on(&self, layer: usize, over: &[f64], begin: &mut [f64], anchors: &mut [(Vec<f64>, Vec<f64>)]) {
        let before = layer.checked_sub(1).and_then(|before| self.layers[before].2.as_ref());
        let Some((_, attended)) = before else { return add(begin, 1.0, over) };
        let read: Vec<usize> =
            (0..attended.len()).filter(|from| attended[*from].choice.chosen == 1).collect();
        for from in &read {
            add(&mut anchors[*from].0, 1.0 / (1.0 + read.len() as f64), over);
        }
    }
}

/// What is known on the way back.
struct Backward<'a> {
    policy: &'a Policy,
    gradient: Vec<f64>,
    /// Over the state and the cell that the next step has got.
    state: Vec<f64>,
    cell: Vec<f64>,
    /// Over the gates of each step that was gone through, with what had gone in.
    steps: Vec<(Vec<f64>, &'a [f64])>,
}

impl<'a> Backward<'a> {
    /// Through a matrix of which `over` is the derivative over its product with a state.
    fn transposed(&mut self, part: &std::ops::Range<usize>, over: &[f64], state: &[f64]) {
        add_outer(&mut self.gradient[part.clone()], over, state);
        add_transposed(&mut self.state, self.policy.part(part), over);
    }

    /// Through the decisions from which layers one reads.
    fn attention(
        &mut self,
        step: &Step,
        attended: &[Attended],
        anchors: &mut [(Vec<f64>, Vec<f64>)],
        loss: &Loss,
        n_skips: f64,
    ) {
        let layout = &self.policy.layout;
        let v = self.policy.part(&layout.attention_v);
        let mut present = vec![0.0; self.policy.hidden];
        for (Attended { query, choice }, (_, anchor)) in attended.iter().zip(anchors) {
            let over_logits = choice.over_logits(loss);
            let chances = choice.probabilities[0] * choice.probabilities[1];
            let divergence = loss.skip_weight / n_skips * choice.divergence(loss.skip_target).1 * chances;
            // The logits -q and q move the chance by -1 and 1 times the product of both.
            let over_query = (over_logits[0] - divergence) * choice.slopes[0]
                + (over_logits[1] + divergence) * choice.slopes[1];
            add(&mut self.gradient[layout.attention_v.clone()], over_query, query);
            let inner: Vec<f64> = query.iter().zip(v).map(|(q, v)| over_query * v * (1.0 - q * q)).collect();
            add(anchor, 1.0, &inner);
            add(&mut present, 1.0, &inner);
        }
        self.transposed(&layout.attention_2, &present, &step.state);
    }

    /// Through a step of the LSTM; what is left over its input.
    fn step(&mut self, step: &'a Step) -> Vec<f64> {
        let h = self.policy.hidden;
        let mut over_gates = vec![0.0; 4 * h];
        for i in 0..h {
            let [enter, forget, out, new] = [0, 1, 2, 3].map(|gate| step.gates[gate * h + i]);
            let squashed = step.squashed[i];
            let over_cell = self.cell[i] + self.state[i] * out * (1.0 - squashed * squashed);
            over_gates[i] = over_cell * new * enter * (1.0 - enter);
            over_gates[h + i] = over_cell * step.before[i] * forget * (1.0 - forget);
            over_gates[2 * h + i] = self.state[i] * squashed * out * (1.0 - out);
            over_gates[3 * h + i] = over_cell * enter * (1.0 - new * new);
            self.cell[i] = over_cell * forget;
        }
        let lstm = &self.policy.layout.lstm;
        let mut over_input = vec![0.0; 2 * h];
        add_transposed(&mut over_input, self.policy.part(lstm), &over_gates);
        self.state = over_input.split_off(h);
        self.steps.push((over_gates, &step.input));
        over_input
    }

    /// The gradient with what all steps say of the matrix that they share, a row at a time as it is large.
    fn finish(mut self) -> Vec<f64> {
        let width = 2 * self.policy.hidden;
        for (i, row) in self.gradient[self.policy.layout.lstm.clone()].chunks_exact_mut(width).enumerate() {
            self.steps.iter().for_each(|(over, input)| add(row, over[i], input));
        }
        self.gradient
    }
}
