// Package newcomer plays somebody who has just cloned the project and types what
// the pages say. It has tests only.
//
// Nouns: a step is one command as a page has it, with what is typed for it here;
// a scene is an order of steps that belong together, such as the demo or the
// guide of a node. TestPages holds that every command of every page is a step,
// or stands in a list with the reason why it is not typed, and that what a page
// shows as output is compared with a step's; TestScenes types them, in a copy of
// the tree and with the programs that `make build` makes there.
//
// Everything runs in a network namespace of its own, so that the demo's ports
// are free whatever else this machine does.
package newcomer
