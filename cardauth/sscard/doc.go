// Package sscard reads the social security application (SSSE) of a card: who
// issued it, whose it is, and until when it is good.
//
// Nouns: a [Card] is what EF05 (issuer data) and EF06 (holder data) say. Records
// are read by tag, never by number: 姓名扩展 became record 3 with version 2.0, so
// numbers mean different things on different cards.
//
// Versions 1.0 and 2.0 give both files freely. Version 3.0 guards EF06 with
// external authentication, for which a key service is needed: [Read] then stops
// after EF05 with [ErrNeedsKeyService]. Cards of the unpublished cipher SSF33
// are reported, never guessed at.
//
// Specification: 人社信息函〔2012〕37号《社会保障卡文件结构和数据项(V2.0)》 and
// 《社会保障(个人)卡规范》 parts 3 to 5; see docs/spec/card.md. Left out: the
// applications DF01 to DF07, the card's own PIN, and all writing.
package sscard
