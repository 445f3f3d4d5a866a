// Package proxy is a bad line: it stands between two programs that speak in
// frames over TCP and does to single frames, in both directions, what networks
// and tired machines do.
//
// What happens to the nth frame of a direction of a connection is drawn from a
// seed and depends on nothing else, so a run that found a mistake can be made
// again. Heal ends it all and leaves a plain forwarder.
//
// The proxy knows of a message only where it ends; Split tells it.
package proxy
