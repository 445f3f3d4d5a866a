// Package flow is the kiosk's behaviour as pure machines: Step(now, event) gives
// effects. It holds no goroutine, clock, socket or file. The screens are
// declared once in a table (id, actions, time-out, where the time-out leads);
// a press with another step number, an unknown action or a value outside its
// rule changes nothing and shows the present screen again.
package flow
