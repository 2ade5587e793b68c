// Package torchfile reads the tensors of PyTorch's zip files (.pt, .bin), those
// of torch.save since version 1.6 and of TorchScript, without running what they
// hold: of pickle's instructions and globals only those that dictionaries of
// tensors are made of are known, and any other is an error.
package torchfile
