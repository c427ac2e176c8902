# SPDX-License-Identifier: Apache-2.0
"""What was checked in the moved guest, and what came out."""


class Proof:
    def __init__(self):
        self.lines = []
        self.failures = 0
        self.checks = 0

    def note(self, sentence):
        self.lines.append(f"        {sentence}")

    def check(self, holds, sentence):
        self.checks += 1
        self.failures += not holds
        self.lines.append(f"  {'ok    ' if holds else 'FAILED'}  {sentence}")

    def holds(self):
        return self.checks > 0 and self.failures == 0

    def print(self):
        print("\nProof\n")
        for line in self.lines:
            print(line)
        print(f"\n{self.checks - self.failures} of {self.checks} proofs hold", flush=True)
